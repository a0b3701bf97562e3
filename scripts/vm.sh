#!/usr/bin/env bash
# Runs the black-box tests in a Linux VM with cgroup v2, and returns their verdict.
#
#   scripts/vm.sh [OPTION…] [FILTER…]                only tests whose name contains a FILTER
#   scripts/vm.sh [OPTION…] --run COMMAND [ARG…]     any command; the project is where it is here
#
#   --bare         as root, without systemd (the default)
#   --systemd      as root, below systemd
#   --rootless     as a user in a session of systemd, to whom all controllers are delegated
#   --lsm MODULE   with this security module in force: apparmor or selinux
#   --qemu         Debian's own kernel, emulated; unless told otherwise, the tests of what user-mode Linux lacks
#   --cpus N       so many CPUs (default 1: two make every fork and every system call dearer, docs/testing.md)
#   --release      tests the release build
#   --timeout SECONDS
#   --prepare      only makes what is made once: the kernel, the image, the programs; prints the kernel's version
#
# The VM is user-mode Linux: a kernel that is a process of this machine, so neither KVM nor an emulator is needed. The
# kernel is $RRUN_VM_KERNEL, else ../shared/vm/linux-uml-*.xz beside the project, else Debian's package user-mode-linux
# (downloaded, not installed). The root image is built once and kept in ${XDG_CACHE_HOME:-/var/cache}/rrun-vm.
#
# What each test said is left in the file $RRUN_TEST_RESULTS, if set.
#
# Exit status: the tests'; 77 if no VM can be had (the last line says why); 124 after the timeout; 125 if the VM died.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-/var/cache}/rrun-vm
mode=bare
machine=uml
lsm=
cpus=1
profile=debug
timeout=1200
prepare=no
run=()
filter=()
while [ $# -gt 0 ]; do
    case $1 in
        --bare | --systemd | --rootless) mode=${1#--} ;;
        --qemu) machine=qemu ;;
        --lsm) lsm=$2 && shift ;;
        --cpus) cpus=$2 && shift ;;
        --release) profile=release ;;
        --prepare) prepare=yes ;;
        --timeout) timeout=$2 && shift ;;
        --run) shift && run=("$@") && break ;;
        --) ;;
        -*) echo "vm.sh: unknown option $1" >&2 && exit 2 ;;
        *) filter+=("$1") ;;
    esac
    shift
done
if [ "$machine" = qemu ] && [ ${#filter[@]} -eq 0 ]; then
    filter=(cgroups::hugepages:: cgroups::rdma::)
fi

skip() {
    echo "no VM: $*"
    exit 77
}
[ "$(id -u)" = 0 ] || skip 'must be root to build its image'
[ -z "${RRUN_VM_KERNEL:-}" ] || [ -f "$RRUN_VM_KERNEL" ] || { echo "vm.sh: RRUN_VM_KERNEL=$RRUN_VM_KERNEL is no file" >&2 && exit 2; }
mkdir -p "$cache"

# find_kernel: prints the path of an executable kernel.
find_kernel() {
    local packed unpacked
    for packed in "${RRUN_VM_KERNEL:-}" "$root"/../shared/vm/linux-uml-*.xz; do
        [ -f "$packed" ] || continue
        case $packed in
            *.xz)
                unpacked=$cache/kernel-$(sha256sum < "$packed" | cut -c1-16)
                [ -x "$unpacked" ] || { xz -dc "$packed" > "$unpacked.$$" && chmod +x "$unpacked.$$" && mv "$unpacked.$$" "$unpacked"; }
                echo "$unpacked"
                ;;
            *) echo "$packed" ;;
        esac
        return
    done
    unpacked=$cache/user-mode-linux
    if [ ! -x "$unpacked/usr/bin/linux.uml" ]; then
        # Unpacked beside, then moved: another run may be at it, too.
        mkdir "$unpacked.$$"
        # The package lists of a machine may be older than the mirror.
        download() { apt-get -o APT::Sandbox::User=root download -qq user-mode-linux; }
        if (cd "$unpacked.$$" && { download || { apt-get update -qq && download; }; } && dpkg -x user-mode-linux_*.deb .) > /dev/null; then
            mv -T "$unpacked.$$" "$unpacked"
        fi
        rm -rf "$unpacked.$$"
    fi
    echo "$unpacked/usr/bin/linux.uml"
}
if [ "$machine" = qemu ]; then
    "$root/scripts/setup.sh" emulator || skip 'QEMU cannot be installed'
    kernel=$("$root/scripts/vm/emulated.sh" "$cache") || skip "Debian's kernel cannot be had: is the mirror reachable?"
else
    kernel=$(find_kernel 2> /dev/null) || true
    [ -x "$kernel" ] || skip 'no kernel: set RRUN_VM_KERNEL to a user-mode Linux, or make the Debian mirror reachable'
fi
image=$("$root/scripts/vm/image.sh" "$cache") || skip 'its root image could not be built: is the Debian mirror reachable?'

if [ ${#run[@]} -eq 0 ]; then
    cd "$root"
    build=(cargo build)
    [ "$profile" = debug ] || build=(scripts/build.sh)
    "${build[@]}" --quiet --bin rrun --example witness
    blackbox=$(cargo test --no-run --test blackbox --message-format=json 2> /dev/null | jq -r 'select(.executable and .target.name == "blackbox") | .executable')
    target=$(dirname "$(dirname "$(dirname "$blackbox")")")/$profile
fi
if [ "$prepare" = yes ]; then
    if [ "$machine" = qemu ]; then basename "$kernel"; else "$kernel" --version; fi
    exit 0
fi

work=$(mktemp -d)
vm=
trap 'end_vm; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

end_vm() {
    [ -n "$vm" ] || return 0
    # The whole group: a process inside is a process here, and would stay.
    kill -9 -- "-$vm" 2> /dev/null || true
    # Waited for here, so that the shell does not announce its death.
    wait "$vm" 2> /dev/null || true
    vm=
}

# What the VM gets to see: the control directory (writable), and the project (read-only).
control=$work/control
mkdir "$control"
: > "$control/output"
# Written by whoever runs the tests inside.
: > "$control/results"
chmod 666 "$control/results"
if [ ${#run[@]} -eq 0 ]; then
    cp "$target/rrun" "$target/examples/witness" "$control"
    # What is not read need not be copied in: most of a debug build is what debuggers read.
    strip -o "$control/blackbox" "$blackbox"
    # Made here, where a fork is cheap.
    rootfs-fixtures/build.sh "$work/fixtures" "$control/witness" > /dev/null
    tar -C "$work" --xattrs --xattrs-include='*' -cf "$control/fixtures.tar" fixtures
    rm -rf "$work/fixtures"
    run=("$root/scripts/vm/tests" "$mode" "$root" "${filter[@]}")
elif [ "$mode" = rootless ]; then
    run=("$root/scripts/vm/session" "${run[@]}")
fi
{
    printf 'project=%q modules=%q now=%q\n' "$root" "$(find "${kernel%/bin/*}/lib/uml/modules" -mindepth 1 -maxdepth 1 2> /dev/null)" "$(date +%s)"
    printf '%q ' "${run[@]}"
    echo
} > "$control/command"

case $mode in
    bare) init=/usr/lib/rrun-vm/init ;;
    *) init=/lib/systemd/systemd ;;
esac
options=(rw panic=-1 quiet loglevel=4 "init=$init" systemd.unit=rrun-vm.target systemd.show_status=0)
# SELinux only tells of what it would deny until a test says otherwise: Debian's programs carry no labels.
[ -z "$lsm" ] || options+=("lsm=landlock,yama,$lsm" selinux=1 enforcing=0)

boot_uml() {
    options+=(mem=1500M "ubd0=$work/cow,$image" root=/dev/ubda con=null "con0=null,fd:1" ssl=null "uml_dir=$work" "rrun_control=$control")
    # Processes in the seccomp mode of newer kernels: cheaper than being traced, and what more than one CPU needs.
    case $("$kernel" --version) in
        [0-6].*) ;;
        *) options+=(seccomp=on "ncpus=$cpus") ;;
    esac
    exec setsid "$kernel" "${options[@]}"
}

boot_qemu() {
    # share TAG DIRECTORY MORE
    share() { devices+=(-fsdev "local,id=$1,path=$2,security_model=none,multidevs=remap$3" -device "virtio-9p-pci,fsdev=$1,mount_tag=$1"); }
    local devices=(-drive "file=$image,if=virtio,format=raw,snapshot=on" -device virtio-rng-pci)
    share control "$control" ''
    share project "$root" ,readonly=on
    TMPDIR=$work exec setsid qemu-system-x86_64 -accel tcg,thread=multi -machine q35 -cpu max,la57=off -m 1500 -smp "$cpus" \
        -display none -vga none -nic none -no-reboot -serial stdio -kernel "$kernel/vmlinuz" -initrd "$kernel/initrd" \
        -append "console=ttyS0 ${options[*]}" "${devices[@]}"
}

if [ "$machine" = qemu ]; then boot_qemu; else boot_uml; fi < /dev/null > "$work/console" 2>&1 &
vm=$!
tail -q -n +1 -s 0.1 -f --pid="$vm" "$control/output" &
echo_output=$!

# no_verdict STATUS WHY: says what is known of a VM that did not get to the end.
no_verdict() {
    end_vm
    wait "$echo_output" || true
    tail -n 30 "$work/console"
    [ ! -s "$control/results" ] || echo "vm.sh: $(wc -l < "$control/results") tests had ended, the last was $(tail -n1 "$control/results" | jq -r .name)"
    echo "vm.sh: no verdict: $2"
    exit "$1"
}

deadline=$((SECONDS + timeout))
while kill -0 "$vm" 2> /dev/null && [ ! -e "$control/status" ]; do
    [ "$SECONDS" -lt "$deadline" ] || no_verdict 124 "the VM was stopped after $timeout seconds"
    sleep 0.1
done
[ -e "$control/status" ] || no_verdict 125 'the VM died; above is what its kernel said last'
end_vm
wait "$echo_output" || true
[ -z "${RRUN_TEST_RESULTS:-}" ] || cp "$control/results" "$RRUN_TEST_RESULTS"
exit "$(cat "$control/status")"

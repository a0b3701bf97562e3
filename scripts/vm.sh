#!/usr/bin/env bash
# Runs the black-box tests in a Linux VM with cgroup v2, and returns their verdict.
#
#   scripts/vm.sh [MODE] [--lsm MODULE] [--timeout SECONDS] [FILTER]     only tests whose name contains FILTER
#   scripts/vm.sh [MODE] [--lsm MODULE] --run COMMAND [ARG…]             any command; the project is where it is here
#
#   --bare      as root, without systemd (the default)
#   --systemd   as root, below systemd
#   --rootless  as a user in a session of systemd, to whom all controllers are delegated
#   --lsm       with this security module in force: apparmor or selinux
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
lsm=
timeout=1200
run=()
filter=()
while [ $# -gt 0 ]; do
    case $1 in
        --bare | --systemd | --rootless) mode=${1#--} ;;
        --lsm) lsm=$2 && shift ;;
        --timeout) timeout=$2 && shift ;;
        --run) shift && run=("$@") && break ;;
        --) ;;
        *) filter+=("$1") ;;
    esac
    shift
done

skip() {
    echo "no VM: $*"
    exit 77
}
[ "$(id -u)" = 0 ] || skip 'must be root to build its image'
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
        mkdir -p "$unpacked" && (cd "$unpacked" && apt-get download -qq user-mode-linux > /dev/null && dpkg -x user-mode-linux_*.deb .)
    fi
    echo "$unpacked/usr/bin/linux.uml"
}
kernel=$(find_kernel 2> /dev/null) || skip 'no kernel: set RRUN_VM_KERNEL to a user-mode Linux, or make the Debian mirror reachable'
image=$("$root/scripts/vm/image.sh" "$cache") || skip 'its root image could not be built: is the Debian mirror reachable?'

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
mkdir "$work/control"
: > "$work/control/output"
: > "$work/control/results"
chmod 666 "$work/control/results"
# Written by whoever runs the tests inside.
: > "$work/control/results"
chmod 666 "$work/control/results"
if [ ${#run[@]} -eq 0 ]; then
    cd "$root"
    cargo build --quiet --bins --examples
    built=$(cargo test --no-run --test blackbox --message-format=json 2> /dev/null | jq -r 'select(.executable and .target.name == "blackbox") | .executable')
    target=$(dirname "$(dirname "$built")")
    cp "$target/rrun" "$target/examples/witness" "$work/control"
    cp "$built" "$work/control/blackbox"
    run=("$root/scripts/vm/tests" "$mode" "$root" "${filter[@]}")
elif [ "$mode" = rootless ]; then
    run=("$root/scripts/vm/session" "${run[@]}")
fi
{
    printf 'project=%q modules=%q now=%q\n' "$root" "$(find "${kernel%/bin/*}/lib/uml/modules" -mindepth 1 -maxdepth 1 2> /dev/null)" "$(date +%s)"
    printf '%q ' "${run[@]}"
    echo
} > "$work/control/command"

case $mode in
    bare) init=/usr/lib/rrun-vm/init ;;
    *) init=/lib/systemd/systemd ;;
esac
options=(mem=1500M "ubd0=$work/cow,$image" root=/dev/ubda rw con=null "con0=null,fd:1" ssl=null "uml_dir=$work" panic=-1 quiet loglevel=4
    "init=$init" systemd.unit=rrun-vm.target systemd.show_status=0 "rrun_control=$work/control")
# SELinux only tells of what it would deny until a test says otherwise: Debian's programs carry no labels.
[ -z "$lsm" ] || options+=("lsm=landlock,yama,$lsm" selinux=1 enforcing=0)
# More than one CPU needs the seccomp mode of newer kernels.
case $("$kernel" --version) in
    [0-6].*) ;;
    *) options+=(seccomp=on "ncpus=$(nproc)") ;;
esac
setsid "$kernel" "${options[@]}" < /dev/null > "$work/console" 2>&1 &
vm=$!
tail -q -n +1 -s 0.1 -f --pid="$vm" "$work/control/output" &
echo_output=$!

deadline=$((SECONDS + timeout))
while kill -0 "$vm" 2> /dev/null && [ ! -e "$work/control/status" ]; do
    if [ "$SECONDS" -ge "$deadline" ]; then
        end_vm
        wait "$echo_output" || true
        echo "vm.sh: no verdict after $timeout seconds"
        exit 124
    fi
    sleep 0.1
done
end_vm
wait "$echo_output" || true
if [ ! -e "$work/control/status" ]; then
    tail -n 30 "$work/console"
    echo 'vm.sh: the VM ended without a verdict'
    exit 125
fi
[ -z "${RRUN_TEST_RESULTS:-}" ] || cp "$work/control/results" "$RRUN_TEST_RESULTS"
exit "$(cat "$work/control/status")"

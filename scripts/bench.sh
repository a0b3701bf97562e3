#!/usr/bin/env bash
# Times rrun beside crun, runc and the kernel's own floor, on a bundle like a container engine's (rootfs-fixtures/bundles/engine.json).
#
#   scripts/bench.sh [-n ROUNDS] [NAME=PATH…]   the table of docs/performance.md; default: 30 rounds, rrun, Debian's crun and runc
#   scripts/bench.sh --vm [-n ROUNDS]           the same in the VM, on cgroup v2 (scripts/vm.sh)
#   scripts/bench.sh --scale [-n ROUNDS]        what grows with the size of host and config; default: 5 rounds
#   scripts/bench.sh --debug                    the time of each step of one run, and of the floor's
#
# scripts/bench/main.rs does the measuring, scripts/bench/floor.c is the floor. Nothing here fails a test: times are noisy.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
[ "$(id -u)" = 0 ] || { echo 'bench.sh: must be root' >&2; exit 1; }
what=table rounds='' peers=()
while [ $# -gt 0 ]; do
    case $1 in
        --vm | --scale | --debug | --inside) what=${1#--} ;;
        -n) rounds=$2 && shift ;;
        *=*) peers+=("$1") ;;
        *) echo "bench.sh: unknown word $1" >&2 && exit 2 ;;
    esac
    shift
done

# What is measured and what measures lies here, so that the VM finds it as well.
kit=$root/target/bench

# prepare: builds everything, installs the peers.
prepare() {
    scripts/setup.sh run
    local package missing=()
    for package in crun runc strace; do
        command -v "$package" > /dev/null || missing+=("$package")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        echo "installing: ${missing[*]}" >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "${missing[@]}" > /dev/null
    fi
    scripts/build.sh --quiet --bin rrun --example witness --example bench
    local release
    release=target/$(rustc -vV | sed -n 's/^host: //p')/release
    mkdir -p "$kit/peers"
    cp "$release/rrun" "$release/examples/bench" "$kit"
    cc -O2 -static -o "$kit/floor" scripts/bench/floor.c
    rootfs-fixtures/build.sh "$kit/fixtures" "$release/examples/witness" > /dev/null
    # With the libraries that another Debian may lack; not the C library and its loader.
    for package in crun runc; do
        cp "$(command -v "$package")" "$kit/peers"
        ldd "$(command -v "$package")" | awk '$3 ~ "^/" && $1 !~ "^lib(c|m|pthread|dl|rt)\\." { print $3 }' | xargs -r cp -Lt "$kit/peers"
    done
}

# on: what is measured where, for the line above the table.
on() {
    local groups=1
    grep -q '^cgroup ' /proc/mounts || groups=2
    echo "Linux $(uname -r), $(nproc) CPUs, cgroup v$groups, $1 rounds; $("$kit/peers/crun" --version | head -1), $("$kit/peers/runc" --version | head -1)"
}

# measure WHAT ROUNDS [NAME=PATH…]: in a mount namespace of its own, whose end takes everything along.
measure() {
    local work
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # this directory, now
    trap "rm -rf '$work'" EXIT
    LD_LIBRARY_PATH=$kit/peers on "$2"
    echo
    cp -a "$kit/fixtures/engine" "$work"
    # shellcheck disable=SC2016 # for the inner shell
    LD_LIBRARY_PATH=$kit/peers unshare --mount sh -euc '
        work=$1 && shift
        mkdir "$work/state"
        mount -t tmpfs state "$work/state"
        # Debian'"'"'s crun takes no v2 hierarchy that carries hugetlb beside v1; runc wants the directory to be called so.
        v2=$(awk "\$3 == \"cgroup2\" { print \$2; exit }" /proc/mounts)
        if grep -q "^cgroup .* cgroup " /proc/mounts && grep -qw hugetlb "$v2/cgroup.controllers" 2> /dev/null; then
            mkdir "$work/hugetlb"
            # Nor can it go to v1 while groups of v2 have it.
            given=no
            if grep -qw hugetlb "$v2/cgroup.subtree_control" && { echo -hugetlb > "$v2/cgroup.subtree_control"; } 2> /dev/null; then
                given=yes
            fi
            # A hierarchy that was just unmounted is not gone at once.
            for _ in $(seq 50); do
                mount -t cgroup -o hugetlb hugetlb "$work/hugetlb" 2> /dev/null && break
                sleep 0.1
            done
            mountpoint -q "$work/hugetlb" || echo "bench.sh: hugetlb cannot be taken from cgroup2, which Debian'"'"'s crun will not run beside" >&2
        fi
        # An interrupted measurement is tidied up as well: the signal reaches the one that measures, and this shell goes on.
        trap : INT TERM HUP
        status=0
        "$@" || status=$?
        for named in "$@"; do
            case $named in *=*) ;; *) continue ;; esac
            for left in "$work/state/${named%%=*}"/*/; do
                [ -d "$left" ] || continue
                left=${left%/}
                "${named#*=}" --root "${left%/*}" delete --force "${left##*/}" || true
            done
        done
        if mountpoint -q "$work/hugetlb"; then
            # A hierarchy with a group in it, or with one that is not quite gone, outlives its last mount, and would stay away from
            # v2 until it is mounted and unmounted once more.
            find "$work/hugetlb" -mindepth 1 -depth -type d -exec rmdir {} +
            for _ in $(seq 20); do
                sleep 0.3
                umount "$work/hugetlb"
                sleep 0.3
                awk "\$1 == \"hugetlb\" { exit \$2 != 0 }" /proc/cgroups && break
                mount -t cgroup -o hugetlb hugetlb "$work/hugetlb"
            done
        fi
        if [ "${given-}" = yes ]; then
            echo +hugetlb > "$v2/cgroup.subtree_control" || echo "bench.sh: hugetlb is not given to the groups of v2 again" >&2
        fi
        exit "$status"
    ' sh "$work" "$kit/bench" "$1" "$2" "$work" "${@:3}"
}

all=("rrun=$kit/rrun" "${peers[@]}")
[ ${#peers[@]} -gt 0 ] || all+=("crun=$kit/peers/crun" "runc=$kit/peers/runc")
case $what in
    table)
        prepare
        measure table "${rounds:-30}" "${all[@]}" "floor=$kit/floor" "floor+=$kit/floor"
        ;;
    vm)
        prepare
        scripts/vm.sh --timeout 3600 --run "$root/scripts/bench.sh" --inside -n "${rounds:-10}"
        ;;
    inside) measure table "$rounds" "${all[@]}" "floor=$kit/floor" "floor+=$kit/floor" ;;
    scale)
        prepare
        measure scale "${rounds:-5}" "${all[@]}"
        ;;
    debug)
        prepare
        "$kit/floor" "$kit/fixtures/engine" steps
        "$kit/rrun" --root /run/rrun-bench --debug run --bundle "$kit/fixtures/engine" bench
        rmdir /run/rrun-bench
        ;;
esac

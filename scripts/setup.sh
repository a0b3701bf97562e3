#!/usr/bin/env bash
# Installs what is missing on a Debian machine: setup.sh [run|test|emulator]
#
#   run       what building rrun and running the fixtures needs (default)
#   test      also what the tests need
#   emulator  also what `scripts/vm.sh --qemu` needs
#
# What is there already is left alone; a second run does nothing. Rust is only checked: how it is installed is your choice.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
purpose=${1:-run}

die() {
    echo "setup.sh: $*" >&2
    exit 1
}

packages=()
# need COMMAND PACKAGE
need() {
    command -v "$1" > /dev/null || packages+=("$2")
}

need cc gcc
[ -e /usr/include/stdio.h ] || packages+=(libc6-dev)
need busybox busybox-static
need setfattr attr
need jq jq
case $purpose in
    run) ;;
    test | emulator)
        need debootstrap debootstrap
        need shellcheck shellcheck
        need xz xz-utils
        need mke2fs e2fsprogs
        need ip iproute2
        need tmux tmux
        # What the chapters of the workshop ask a web server with.
        need wget wget
        # Injects failures of system calls.
        need strace strace
        need zsh zsh
        need fish fish
        # Containers of users without root map ranges of ids by it.
        need newuidmap uidmap
        # The oracle of the seccomp tests.
        /usr/bin/python3 -c 'import seccomp' 2> /dev/null || packages+=(python3-seccomp)
        ;;
    *) die "unknown purpose $purpose: run, test or emulator" ;;
esac
if [ "$purpose" = emulator ]; then
    need qemu-system-x86_64 qemu-system-x86
    need depmod kmod
fi
# A busybox that needs a C library cannot live in a root that has none.
if busybox=$(command -v busybox) && ldd "$busybox" > /dev/null 2>&1; then
    packages+=(busybox-static)
fi

if [ ${#packages[@]} -gt 0 ]; then
    command -v apt-get > /dev/null || die "missing, and this is no Debian: ${packages[*]}"
    [ "$(id -u)" = 0 ] || die "missing: ${packages[*]}; run me as root, or: apt-get install ${packages[*]}"
    echo "installing: ${packages[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -qq --no-install-recommends "${packages[@]}" > /dev/null 2>&1 || {
        # The package lists of a fresh machine are empty or old.
        apt-get update -qq > /dev/null
        apt-get install -qq --no-install-recommends "${packages[@]}" > /dev/null
    }
fi

wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
command -v cargo > /dev/null || die "cargo is missing: install Rust $wanted or newer, https://rustup.rs"
have=$(rustc --version | cut -d' ' -f2)
[ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -n1)" = "$wanted" ] || die "Rust $have is too old: $wanted is needed (rustup update)"

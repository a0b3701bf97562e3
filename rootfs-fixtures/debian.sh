#!/usr/bin/env bash
# Makes a real Debian root filesystem with debootstrap: rootfs-fixtures/debian.sh [OUT]     OUT: target/debian
#
# The mirror is the one this machine's apt uses, or $MIRROR. Made once; a second run finds it and does nothing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:-$here/../target/debian}
suite=${SUITE:-bookworm}

if [ -e "$out/etc/os-release" ]; then
    exit 0
fi
# shellcheck disable=SC2016 # $(SITE) is apt's own word
mirror=${MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -m1 '/debian/*$' || true)}
mirror=${mirror:-http://deb.debian.org/debian}

mkdir -p "$(dirname "$out")"
# Built beside, then moved: an interrupted run leaves no half root behind.
new=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$new"' EXIT
# minbase lacks nothing that a container needs; the keyring is the host's.
debootstrap --variant=minbase "$suite" "$new" "$mirror" > "$new.log" 2>&1 || {
    tail -n 5 "$new.log" >&2
    rm -f "$new.log"
    exit 1
}
rm -rf "$new.log" "$new"/var/cache/apt/archives/*.deb "$new"/var/lib/apt/lists/*
chmod 755 "$new"
rm -rf "$out"
mv "$new" "$out"
trap - EXIT

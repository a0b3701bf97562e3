#!/usr/bin/env bash
# Builds the tiny root filesystems and bundles that tests and the quickstart run.
#
#   rootfs-fixtures/build.sh [OUT [WITNESS]]      OUT: target/fixtures    WITNESS: a release build, made if missing
#
# Root is needed: layers carry device nodes, trusted attributes and foreign owners. Everything comes from Debian's static
# busybox, the witness beside this script, and the files in layers/ and bundles/. A second run replaces the first.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:-$here/../target/fixtures}
witness=${2:-}
mapped=100000 # the host id of root in the user namespaces of bundles/*.json

die() {
    echo "build.sh: $*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || die 'must be root'
busybox=$(command -v busybox) || die 'busybox is missing: apt-get install busybox-static'
command -v setfattr > /dev/null || die 'setfattr is missing: apt-get install attr'
if [ -z "$witness" ]; then
    (cd "$here/.." && cargo build --quiet --release --example witness)
    host=$(rustc -vV | sed -n 's/^host: //p')
    witness=$here/../target/$host/release/examples/witness
fi
[ -x "$witness" ] || die "no witness at $witness"
! ldd "$witness" > /dev/null 2>&1 || die "$witness is not a static program"

mkdir -p "$out"
out=$(cd "$out" && pwd)
# Built beside, then swapped: an interrupted run leaves no half root behind.
new=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$new"' EXIT

# The committed part of a layer. Neither the checkout's owner nor its umask may show.
copy_layer() {
    cp -r "$here/layers/$1/." "$new/layers/$1"
    chmod -R u=rwX,go=rX "$new/layers/$1"
}

# base: a whole small system.
base=$new/layers/base
mkdir -p "$base"/{bin,dev,etc,home/user,proc,root,run,srv,sys,tmp,usr,var} "$new"/layers/{app,patch/etc}
copy_layer base
cp "$busybox" "$base/bin/busybox"
cp "$witness" "$base/bin/witness"
for applet in $("$busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$base/bin/$applet"
done
ln -s /run "$base/var/run"
chmod 1777 "$base/tmp"
chmod 700 "$base/root"
chown 1000:1000 "$base/home/user"

# app: adds /app and replaces a file of base.
copy_layer app

# patch: takes a file away and hides what a directory held, in overlayfs form: a character device 0:0 where the file was,
# and an attribute that says "do not look below this directory".
copy_layer patch
patch=$new/layers/patch
mknod "$patch/etc/secret" c 0 0
setfattr -n trusted.overlay.opaque -v y "$patch/srv/data"

# Gives a tree to the ids that its user namespace maps its owners to.
give_to_mapped() {
    for id in 1000 0; do
        find "$1" -uid "$id" -exec chown -h "$((id + mapped)):$((id + mapped))" {} +
    done
}

for config in "$here"/bundles/*.json; do
    bundle=$new/$(basename "$config" .json)
    mkdir -p "$bundle/rootfs"
    cp --no-preserve=ownership "$config" "$bundle/config.json"
    if grep -q io.rrun.rootfs.layers "$config"; then
        cp -a "$new/layers" "$bundle/layers"
        content=$bundle/layers
    else
        cp -a "$base/." "$bundle/rootfs"
        content=$bundle/rootfs
    fi
    if grep -q uidMappings "$config"; then
        give_to_mapped "$content"
        chown "$mapped:$mapped" "$bundle/rootfs"
    fi
done

chmod 755 "$new"
rm -rf "$out"
mv "$new" "$out"
trap - EXIT
echo "$out"

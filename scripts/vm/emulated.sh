#!/usr/bin/env bash
# Prepares Debian's own kernel for QEMU: emulated.sh CACHE. Prints the directory with vmlinuz and initrd.
#
# User-mode Linux has neither huge pages nor RDMA; a distribution's kernel has both. Its drivers are modules, so the initrd loads
# all that the tests use, in the order of their dependencies, and nothing has to be loaded later. The directory carries the
# kernel's version and a hash of this recipe.
set -euo pipefail

cache=$1
# What the machine stands on, then what tests ask for: an RDMA device in software, on a network device of no consequence.
modules=(virtio_pci virtio_blk virtio_rng 9pnet_virtio 9p crc32c_generic crc32_generic ext4 overlay dummy veth ib_uverbs rdma_rxe)

image=$(apt-cache depends linux-image-amd64 | sed -nE 's/^ *Depends: (linux-image-[0-9].*)/\1/p' | head -n1)
[ -n "$image" ] || { echo 'linux-image-amd64 is unknown here: apt-get update' >&2; exit 1; }
version=${image#linux-image-}
out=$cache/emulated-$version-$(sha256sum < "${BASH_SOURCE[0]}" | cut -c1-16)
if [ -e "$out/initrd" ]; then
    echo "$out"
    exit 0
fi

echo "preparing Debian's kernel $version for QEMU, once, in $cache" >&2
new=$(mktemp -d "$cache/emulated.XXXXXX")
trap 'rm -rf "$new"' EXIT
# As root: apt's own user may not write here.
(cd "$new" && apt-get -o APT::Sandbox::User=root download -qq "$image" > /dev/null && dpkg -x ./*.deb tree && rm -f ./*.deb)
[ -d "$new/tree/lib/modules" ] || mv "$new/tree/usr/lib" "$new/tree/lib"
find "$new/tree/lib/modules" -name '*.ko.xz' -exec xz -d {} +
depmod -b "$new/tree" "$version"

mkdir -p "$new/ram"/{bin,modules,proc,dev,root}
cp "$(command -v busybox)" "$new/ram/bin/busybox"
for module in "${modules[@]}"; do
    modprobe --dirname "$new/tree" --set-version "$version" --show-depends "$module" 2> /dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | awk '!seen[$0]++' | while read -r file; do
    cp "$file" "$new/ram/modules"
    basename "$file"
done > "$new/ram/order"
mv "$new/ram/order" "$new/ram/modules/order"
cat > "$new/ram/init" <<'INIT'
#!/bin/busybox sh
busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox mount -t devtmpfs dev /dev
while read -r module; do
    $busybox insmod "/modules/$module" || echo "no $module"
done < /modules/order
for word in $($busybox cat /proc/cmdline); do
    case $word in init=*) init=${word#init=} ;; esac
done
$busybox mount -t ext4 /dev/vda /root || $busybox poweroff -f
$busybox mount -o move /dev /root/dev
$busybox umount /proc
exec $busybox switch_root /root "$init"
INIT
chmod 755 "$new/ram/init"
cp "$new/tree/boot/vmlinuz-$version" "$new/vmlinuz"
(cd "$new/ram" && busybox find . | busybox cpio -o -H newc 2> /dev/null) > "$new/initrd"
rm -rf "$new/tree" "$new/ram" "$out"
mv "$new" "$out"
trap - EXIT
echo "$out"

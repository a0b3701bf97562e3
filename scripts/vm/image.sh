#!/usr/bin/env bash
# Builds the root image of the test VM, a Debian by debootstrap: image.sh CACHE. Prints its path.
#
# The image's name carries a hash of this recipe: a changed recipe makes a new image, an old one is found again.
# What runs in the VM beyond that (tests, session) comes from the project, so it can change without a new image.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$1
suite=trixie
packages=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,busybox-static,procps,iproute2,uidmap,attr,acl,libcap2-bin,strace,jq,tmux,python3-minimal,apparmor,secilc,wget
installed=("$here/init" "$here/job" "$here/rrun-vm.service" "$here/rrun-vm.target")
image=$cache/image-$(cat "$here/image.sh" "${installed[@]}" | sha256sum | cut -c1-16).ext4
if [ -e "$image" ]; then
    echo "$image"
    exit 0
fi

# shellcheck disable=SC2016 # $(SITE) is apt's own word
mirror=${MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -m1 '/debian/*$' || true)}
echo "building the VM's root image, once, in $cache" >&2
tree=$(mktemp -d "$cache/tree.XXXXXX")
trap 'rm -rf "$tree" "$image.$$"' EXIT
debootstrap --variant=minbase --include="$packages" "$suite" "$tree" "${mirror:-http://deb.debian.org/debian}" > "$tree.log" 2>&1 || {
    tail -n 5 "$tree.log" >&2
    rm -f "$tree.log"
    exit 1
}
rm -rf "$tree.log" "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/* "$tree"/usr/share/{doc,man,locale,info}/*

install -D -t "$tree/usr/lib/rrun-vm" "$here/init" "$here/job"
install -D -m 644 -t "$tree/etc/systemd/system" "$here/rrun-vm.service" "$here/rrun-vm.target"
mkdir -p "$tree/control"
echo vm > "$tree/etc/hostname"
echo 0123456789abcdef0123456789abcdef > "$tree/etc/machine-id"
: > "$tree/etc/fstab"
# The user of the rootless tests: its service manager starts with the machine, and gets every controller. useradd gives it
# a range of subordinate ids.
chroot "$tree" useradd --create-home --uid 1000 --shell /bin/bash user
mkdir -p "$tree/var/lib/systemd/linger" "$tree/etc/systemd/system/user@.service.d"
: > "$tree/var/lib/systemd/linger/user"
printf '[Service]\nDelegate=cpu cpuset io memory pids\n' > "$tree/etc/systemd/system/user@.service.d/delegate.conf"
# What a test machine does not need, and what would only wait: the network, the clock, consoles, periodic jobs.
for unit in getty@tty1.service getty.target serial-getty@ttyS0.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-timesyncd.service systemd-journal-flush.service systemd-firstboot.service \
    systemd-tmpfiles-clean.timer; do
    ln -sf /dev/null "$tree/etc/systemd/system/$unit"
done

# Sparse. The VM never writes it: each boot puts a copy-on-write file over it.
truncate -s 3G "$image.$$"
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1 -d "$tree" "$image.$$"
# Images of older recipes go; not those of last week, which another branch may still use.
find "$cache" -maxdepth 1 -name 'image-*.ext4' -mtime +7 -delete
mv "$image.$$" "$image"
echo "$image"

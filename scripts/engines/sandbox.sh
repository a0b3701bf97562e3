#!/usr/bin/env bash
# sandbox.sh ENGINE RUNTIME DIR PATTERN: the inside of the namespaces that engines.sh makes. Gives the engine a machine of
# its own: /run empty, /etc, /var and /usr/local as on the host but with changes kept in DIR, the cgroup hierarchies from
# our group down, a network with lo alone, a user "engines" with subordinate ids. Installs the runtime as scripts/install.sh
# does, and runs the engine's list.
set -euo pipefail

engine=$1 runtime=$2 dir=$3 only=$4
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export ENGINES_DIR=$dir LC_ALL=C.UTF-8 HOME=$dir/home TMPDIR=$dir/tmp
mkdir -p "$dir"/{home,tmp,log,upper,work}
chmod 1777 "$dir/tmp"

# Engines expect the host's usual propagation; the peers of these mounts are in here alone.
mount --make-rshared /

# --- files
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/lock /run/netns
for tree in etc var usr/local; do
    mkdir -p "$dir/upper/$tree" "$dir/work/$tree"
    mount -t overlay -o "lowerdir=/$tree,upperdir=$dir/upper/$tree,workdir=$dir/work/$tree" overlay "/$tree"
done
# An overlay cannot be the upper layer of another, which is what the engines make.
for store in docker containerd containers cni; do
    mkdir -p "/var/lib/$store" "$dir/store/$store"
    mount --bind "$dir/store/$store" "/var/lib/$store"
done
# A rootless user's tools need these two, and hosts differ in who may open them.
mkdir -p "$dir/dev"
mknod -m 666 "$dir/dev/tun" c 10 200
mknod -m 666 "$dir/dev/fuse" c 10 229
for node in net/tun fuse; do
    [ ! -e "/dev/$node" ] || mount --bind "$dir/dev/$(basename $node)" "/dev/$node"
done

# --- control groups: each hierarchy again, as this cgroup namespace sees it
while read -r _ _ _ _ point _ fields; do
    # After the "-": type, source, options of the hierarchy.
    read -r type _ options <<< "${fields#*- }"
    case $type in
        cgroup) umount "$point"; mount -t cgroup -o "${options#rw,}" cgroup "$point" ;;
        cgroup2)
            umount "$point"
            mount -t cgroup2 cgroup2 "$point"
            # Where v2 has controllers, processes may only be in leaves.
            if [ -s "$point/cgroup.controllers" ]; then
                mkdir "$point/engine"
                while read -r pid; do echo "$pid" > "$point/engine/cgroup.procs"; done < "$point/cgroup.procs"
            fi
            ;;
    esac
done < <(awk '/ - cgroup2? /' /proc/self/mountinfo)

# --- network and user
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
sed -i '/^engines:/d' /etc/passwd /etc/group
echo "engines:x:4242:4242::$dir/user:/bin/sh" >> /etc/passwd
echo 'engines:x:4242:' >> /etc/group
printf '%s\n' engines:200000:65536 containers:300000:655360 > /etc/subuid
cp /etc/subuid /etc/subgid
mkdir -p "$dir/user"
chown 4242:4242 "$dir/user"

# --- the runtime
PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin
ENGINES_RUNTIME=/usr/local/bin/$(basename "$runtime")
export ENGINES_RUNTIME
cp -a "$dir/../installed/." /
cp "$runtime" "$ENGINES_RUNTIME"
# Docker and containerd call "rrun" what stands at this path, whichever runtime it is.
sed -i "s#\"/usr/local/bin/rrun\"#\"$ENGINES_RUNTIME\"#" /usr/local/share/rrun/*.json /usr/local/share/rrun/*.toml
[ ! -x /usr/local/bin/docker ] || rm /usr/local/bin/docker

# --- the list
: > "$dir/results"
# shellcheck source=scripts/engines/check.sh
. "$here/check.sh" "$engine" "$only"
# shellcheck source=/dev/null
. "$here/$engine.sh"

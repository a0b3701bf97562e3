#!/usr/bin/env bash
# Prepares a directory for docs/workshop: the bundles that its commands use. workshop.sh [DIR]     DIR: ./workshop
#
#   web    what `rrun spec` writes, with a small web server
#   db     the same server, by `rrun spec --profile hardened`
#   notes  a program that changes its files, for the chapter on layers
#
# Root is needed, as the containers are root's. Set RRUN to try another binary than the rrun on the PATH.
set -euo pipefail

rrun=${RRUN:-rrun}
dir=${1:-workshop}

die() {
    echo "workshop.sh: $*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || die 'must be root'
busybox=$(command -v busybox) || die 'busybox is missing: apt-get install busybox-static'
! ldd "$busybox" > /dev/null 2>&1 || die "$busybox needs libraries: apt-get install busybox-static"
command -v "$rrun" > /dev/null || die "$rrun is missing: scripts/build.sh, then scripts/install.sh, or set RRUN"
command -v jq > /dev/null || die 'jq is missing: apt-get install jq'
[ ! -e "$dir" ] || die "$dir is there already: remove it, or name another place"

umask 022
mkdir -p "$dir"
# Where a user who is not root cannot look: a container's root may hold setuid files.
chmod 700 "$dir"

root() {
    mkdir -p "$1"/{bin,dev,etc,proc,sys,tmp,run,srv/www}
    chmod 1777 "$1/tmp"
    cp "$busybox" "$1/bin/busybox"
    # All its names at once: a fork for each is what takes long on a small machine.
    chroot "$1" /bin/busybox --install -s /bin
    printf 'root:x:0:0:root:/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n' > "$1/etc/passwd"
    printf 'root:x:0:\nuser:x:1000:\n' > "$1/etc/group"
    echo 'hello from a container' > "$1/srv/www/index.html"
    cat > "$1/srv/start" << 'SCRIPT'
httpd -f -p 127.0.0.1:8080 -h /srv/www &
sleep infinity &
wait
SCRIPT
}

# bundle NAME JQ-FILTER [SPEC-FLAG…]
bundle() {
    local name=$1 filter=$2
    mkdir "$dir/$name"
    root "$dir/$name/rootfs"
    "$rrun" spec --bundle "$dir/$name" "${@:3}"
    jq --tab ".process.terminal = false | .hostname = \"$name\" | $filter" "$dir/$name/config.json" > "$dir/config.new"
    mv "$dir/config.new" "$dir/$name/config.json"
}

bundle web '.process.args = ["sh", "/srv/start"]'
bundle db '.process.args = ["sh", "/srv/start"]' --profile hardened
bundle notes '.root.readonly = false | .process.args =
    ["sh", "-c", "echo remember > /etc/motd; rm /etc/passwd; chmod 700 /tmp; cp /bin/busybox /bin/x; chmod 4755 /bin/x; exec sleep infinity"]'
echo "cd $dir"

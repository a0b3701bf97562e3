#!/usr/bin/env bash
# Installs the engines that are missing, with Debian's apt. Their packages must not start daemons of their own.
set -euo pipefail

missing=()
for package in docker.io containerd runc podman buildah conmon containernetworking-plugins catatonit tini fuse-overlayfs \
    slirp4netns uidmap iptables iproute2 busybox-static jq python3-grpcio util-linux bsdutils; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
echo "installing: ${missing[*]}" >&2
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -qq --no-install-recommends "${missing[@]}" > /dev/null 2>&1; }
install || { apt-get update -qq > /dev/null; install; } || { echo "cannot install ${missing[*]}" >&2; exit 1; }

#!/usr/bin/env bash
# images.sh DIR: makes two images in DIR that every engine can load: box.tar (busybox and a few users) and pause.tar (what
# keeps a pod's namespaces). No registry is asked.
set -euo pipefail

dir=$1
root=$dir/root

# pack NAME FILE CONFIG: the directory $root as an image of one layer.
pack() {
    local name=$1 file=$2 config=$3 layer id
    mkdir "$dir/image"
    tar -C "$root" --numeric-owner -cf "$dir/image/layer.tar" .
    layer=$(sha256sum "$dir/image/layer.tar" | cut -d' ' -f1)
    jq -nc --argjson config "$config" --arg layer "sha256:$layer" \
        '{architecture: "amd64", os: "linux", config: $config, rootfs: {type: "layers", diff_ids: [$layer]},
          history: [{created_by: "images.sh"}]}' > "$dir/image/config"
    id=$(sha256sum "$dir/image/config" | cut -d' ' -f1)
    mv "$dir/image/config" "$dir/image/$id.json"
    jq -nc --arg name "$name" --arg config "$id.json" '[{Config: $config, RepoTags: [$name], Layers: ["layer.tar"]}]' \
        > "$dir/image/manifest.json"
    tar -C "$dir/image" -cf "$file" .
    rm -rf "$dir/image" "$root"
}

mkdir -p "$root"/{bin,dev,etc,home/user,proc,root,sys,tmp,usr/bin,var/run}
chmod 755 "$root"
cp /bin/busybox "$root/bin/busybox"
for applet in $(busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
printf '%s\n' root:x:0:0:root:/root:/bin/sh user:x:1000:1000::/home/user:/bin/sh nobody:x:65534:65534::/:/bin/false > "$root/etc/passwd"
printf '%s\n' root:x:0: user:x:1000: extra:x:2000:user nogroup:x:65534: > "$root/etc/group"
chown 1000:1000 "$root/home/user"
chmod 1777 "$root/tmp"
path=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
pack docker.io/library/box:latest "$dir/box.tar" "{\"Env\": [\"$path\"], \"Cmd\": [\"sh\"]}"

mkdir -p "$root"
cp /usr/bin/catatonit "$root/pause"
pack registry.k8s.io/pause:3.6 "$dir/pause.tar" '{"Entrypoint": ["/pause", "-P"], "User": "65535:65535"}'

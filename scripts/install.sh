#!/usr/bin/env bash
# Puts rrun where engines and users find it, and says what it did.
#
#   scripts/install.sh [PREFIX]               default: /usr/local
#   scripts/install.sh --uninstall [PREFIX]   takes away what was put there, and nothing else
#
#   DESTDIR   a directory that stands for / (for packages)
#   RRUN      the binary; default: the release build below target/
#
# The binary, a man page per command and completions for bash, zsh and fish go below PREFIX; the drop-ins that Podman,
# Buildah and CRI-O read go to /etc (for another PREFIX than /usr and /usr/local to PREFIX/etc). Docker, containerd and
# Kubernetes have no drop-ins: what to add to their configuration is put in PREFIX/share/rrun.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
die() { echo "install.sh: $*" >&2; exit 1; }

action=install
if [ "${1:-}" = --uninstall ]; then
    action=uninstall
    shift
fi
case ${1:-} in
    -*) sed -n '2,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
[ $# -le 1 ] || die 'one PREFIX'
prefix=${1:-/usr/local}
[[ $prefix = /* ]] || die "PREFIX must be absolute: $prefix"
prefix=$(realpath -sm -- "$prefix")
root=${DESTDIR:-}
root=${root%/}
case $prefix in
    /usr | /usr/local) etc=/etc ;;
    *) etc=$prefix/etc ;;
esac
share=$prefix/share
list=$root$share/rrun/installed

# Removes the files and then the directories of the list, the newest first; a directory that others use by now stays.
uninstall() {
    local kind path
    while read -r kind path; do
        case $kind in
            file) rm -f "$root$path" ;;
            directory) rmdir --ignore-fail-on-non-empty "$root$path" 2> /dev/null || [ ! -d "$root$path" ] ;;
        esac
    done < <(tac "$1")
}

if [ "$action" = uninstall ]; then
    [ -e "$list" ] || die "nothing is installed below $root$prefix"
    old=$(mktemp)
    trap 'rm -f "$old"' EXIT
    cp "$list" "$old"
    uninstall "$old"
    echo "removed rrun from $root$prefix"
    exit
fi

rrun=${RRUN:-}
if [ -z "$rrun" ]; then
    for file in "$top"/target/{*/,}release/rrun; do
        [ ! -x "$file" ] || [ "$file" -ot "$rrun" ] || rrun=$file
    done
fi
[ -x "$rrun" ] || die 'no binary: scripts/build.sh'
pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT
(cd "$top" && cargo run -q --example pages -- "$pages")

# make DIRECTORY: with those above it, each remembered if it was not there.
make() {
    [ -d "$root$1" ] || {
        make "$(dirname "$1")"
        mkdir -m 755 "$root$1"
        echo "directory $1" >> "$pages/installed"
    }
}

# put FILE DESTINATION MODE
put() {
    make "$(dirname "$2")"
    install -m "$3" "$1" "$root$2"
    echo "file $2" >> "$pages/installed"
    echo "$root$2"
}

# fill FILE DESTINATION: with the path of the binary in place.
fill() {
    sed "s#@RRUN@#$prefix/bin/rrun#" "$top/scripts/install/$1" > "$pages/filled"
    put "$pages/filled" "$2" 644
}

# What an earlier version put there may have other names.
[ ! -e "$list" ] || { cp "$list" "$pages/old"; uninstall "$pages/old"; }
mkdir -p "$root/"
put "$rrun" "$prefix/bin/rrun" 755
for page in "$pages"/man/*; do
    put "$page" "$share/man/man${page##*.}/$(basename "$page")" 644
done
put "$pages/rrun.bash" "$share/bash-completion/completions/rrun" 644
put "$pages/_rrun" "$share/zsh/site-functions/_rrun" 644
put "$pages/rrun.fish" "$share/fish/vendor_completions.d/rrun.fish" 644
fill containers.conf "$etc/containers/containers.conf.d/50-rrun.conf"
fill crio.conf "$etc/crio/crio.conf.d/50-rrun.conf"
for file in docker-daemon.json containerd-1.toml containerd-2.toml runtimeclass.yaml; do
    fill "$file" "$share/rrun/$file"
done
make "$share/rrun"
echo "file $share/rrun/installed" >> "$pages/installed"
install -m 644 "$pages/installed" "$list"
cat << END

Podman and Buildah know rrun now: podman run --runtime rrun …
Docker: merge $share/rrun/docker-daemon.json into /etc/docker/daemon.json
containerd: add $share/rrun/containerd-1.toml or containerd-2.toml to /etc/containerd/config.toml
Kubernetes: kubectl apply -f $share/rrun/runtimeclass.yaml
END

#!/usr/bin/env bash
# Runs the black-box tests on this machine as a user who is not root: rootless.sh [FILTER]
#
# The user is thrown away: it and its range of subordinate ids stand in a copy of /etc that one mount namespace shows. No cgroup
# is delegated to it, so tests that set limits are skipped (scripts/vm.sh --rootless delegates).
#
# Exit status: the tests'; 77 if users cannot have containers here (the last line says why).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
uid=61234

skip() {
    echo "no rootless containers: $*"
    exit 77
}
[ "$(id -u)" = 0 ] || skip 'must be root to become another user'
command -v newuidmap > /dev/null || skip 'newuidmap is missing: apt-get install uidmap'
as_user=(setpriv "--reuid=$uid" "--regid=$uid" --clear-groups)
"${as_user[@]}" unshare --user --map-root-user true 2> /dev/null || skip 'user namespaces are denied to users'

cd "$root"
cargo build --quiet --bins --examples
built=$(cargo test --no-run --test blackbox --message-format=json 2> /dev/null | jq -r 'select(.executable and .target.name == "blackbox") | .executable')
target=$(dirname "$(dirname "$built")")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work"/{tests,run}
chmod 755 "$work"
chown "$uid:$uid" "$work/tests" "$work/run"
chmod 700 "$work/run"
# Where this user may execute them.
install -m 755 -t "$work" "$target/rrun" "$target/examples/witness" "$built"
rootfs-fixtures/build.sh "$work/fixtures" "$work/witness" > /dev/null
chown -hR "$uid:$uid" "$work/fixtures"

cp -a /etc "$work/etc"
# Not every line of such a file is UTF-8.
printf 'rrun-tests:x:%s:%s:M\374ller:/:/bin/sh\n' "$uid" "$uid" >> "$work/etc/passwd"
echo "rrun-tests:x:$uid:" >> "$work/etc/group"
echo 'rrun-tests:300000:65536' | tee "$work/etc/subuid" > "$work/etc/subgid"
# The project may lie in a home directory that is closed to this user: then nothing else is shown there.
closed=
above=$root
while above=${above%/*} && [ -n "$above" ]; do
    "${as_user[@]}" test -x "$above" || closed=$above
done
mkdir "$work/project"
# shellcheck disable=SC2016 # the inner shell expands
unshare --mount --propagation=private bash -euc '
    mount --bind "$1" /etc
    # Terminals for everybody, whatever this machine has.
    mount -t devpts -o newinstance,gid=5,mode=620,ptmxmode=666 devpts /dev/pts
    [ -L /dev/ptmx ] || mount --bind /dev/pts/ptmx /dev/ptmx
    if [ -n "$2" ]; then
        mount --bind "$3" "$4"
        mount -t tmpfs -o mode=755 tmpfs "$2"
        mkdir -p "$3"
        mount --bind "$4" "$3"
    fi
    shift 4
    exec "$@"
' bash "$work/etc" "$closed" "$root" "$work/project" "${as_user[@]}" env -i PATH="$PATH" LANG=C.UTF-8 TMPDIR="$work/tests" XDG_RUNTIME_DIR="$work/run" \
    RRUN="$work/rrun" RRUN_WITNESS="$work/witness" RRUN_FIXTURES="$work/fixtures" RRUN_DEBIAN="$root/target/debian" \
    "$work/$(basename "$built")" "$@"

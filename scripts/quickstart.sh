#!/usr/bin/env bash
# One command on a fresh machine: installs what is missing, builds rrun, makes the fixtures, runs a container of three
# layers with all eight namespaces under memory, CPU and PID limits, and shows what is isolated.
# Exit status 1 if anything that should be isolated is not. Set RRUN to try another binary.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
[ "$(id -u)" = 0 ] || { echo 'quickstart.sh: must be root (layers and cgroups are)' >&2; exit 1; }

scripts/setup.sh run
scripts/build.sh --quiet --bin rrun --example witness
release=target/$(rustc -vV | sed -n 's/^host: //p')/release
rrun=${RRUN:-$root/$release/rrun}
bundle=$(rootfs-fixtures/build.sh target/fixtures "$release/examples/witness")/layered

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# All files of the layers with their contents, to see whether a container changed them.
fingerprint() {
    (cd "$bundle/layers" && find . -printf '%p %m %U %G %s %T@ %l\n' | sort && find . -type f -exec sha256sum {} + | sort) | sha256sum
}
run() {
    "$rrun" --root "$work/state" run "$bundle" > "$work/$1" 2> "$work/$1.err" || {
        cat "$work/$1" "$work/$1.err" >&2
        echo "quickstart.sh: the container failed" >&2
        exit 1
    }
}
told() { sed -n "s/^$1=//p" "$work/first"; }
inside() { told witness | jq -r "$1"; }
outside() { jq -r "$1" "$work/host"; }
heading() { printf '\n%s\n' "$1"; }
# row NAME HOST CONTAINER VERDICT: the verdict is a test that must hold
row() {
    local mark=ok
    "${@:4}" || { mark=FAILED; failures=$((failures + 1)); }
    printf '  %-20s %-26s %-34s %s\n' "$1" "$2" "$3" "$mark"
}
differ() { [ -n "$2" ] && [ "$1" != "$2" ]; }

"$release/examples/witness" > "$work/host"
before=$(fingerprint)
run first
run second

printf '  %-20s %-26s %s\n' '' 'on the host' 'in the container'
heading 'Namespaces: the kernel objects that it sees instead of the host'"'"'s'
for kind in mnt pid net ipc uts cgroup time user; do
    host=$(outside ".namespaces.$kind") container=$(inside ".namespaces.$kind")
    row "$kind" "$host" "$container" differ "$host" "$container"
done

heading 'What that means'
hostname=$(outside .hostname) named=$(inside .hostname)
row 'host name' "$hostname" "$named" [ "$named" = layered ]
row 'process id' "$$ (this script)" "$(told pid), the first" [ "$(told pid)" = 1 ]
processes=$(find /proc -maxdepth 1 -name '[0-9]*' | wc -l)
row 'processes' "$processes" "$(told processes)" [ "$(told processes)" -lt "$processes" ]
row 'network' "$(cd /sys/class/net && echo *)" "$(told interfaces)" [ "$(told interfaces)" = lo ]
row 'uptime in days' "$(($(cut -d. -f1 /proc/uptime) / 86400))" "$(told uptime_days)" [ "$(told uptime_days)" -ge 1 ]
row 'root is' 'uid 0' "uid 0, which is host uid $(inside '.uid_map[0][1]')" [ "$(inside '.uid_map[0][1]')" = 100000 ]
row 'capabilities' "$(outside .capabilities.effective)" "$(inside .capabilities.effective)" [ "$(inside .capabilities.effective)" = 0000000020000420 ]
row 'no new privileges' "$(outside .no_new_privs)" "$(inside .no_new_privs)" [ "$(inside .no_new_privs)" = true ]

heading 'Layers: base, app and patch, seen as one root'
in_base() { cat "$bundle/layers/base/$1"; }
row '/etc/release' "base: $(in_base etc/release)" "$(told release)" [ "$(told release)" != "$(in_base etc/release)" ]
row '/etc/secret' "base: $(in_base etc/secret | cut -c1-10)…" "$(told secret)" [ "$(told secret)" = gone ]
row '/srv/data' "base: $(cd "$bundle/layers/base/srv/data" && echo *)" "$(told data)" [ "$(told data)" = new ]
row 'own write' 'layers unchanged' "$(told own_write)" [ "$before" = "$(fingerprint)" ]
earlier=$(sed -n 's/^earlier_writes=//p' "$work/second")
row 'next container sees' '' "of that write: $earlier" [ "$earlier" = none ]

heading 'Limits, by their effect'
row "memory $(told memory_limit | numfmt --to=iec)" 'a child of 128 MiB' "ended with status $(told big_child_status)" [ "$(told big_child_status)" = 137 ]
children=$(told hundred_children | jq -r '.did[0].fork')
row "processes $(told pids_limit)" '100 children wanted' "$children made, then $(told hundred_children | jq -r '.did[0].errno')" [ "$children" -lt 20 ]
row "cpu $(told cpu_quota)" 'a busy loop' "held back in $(told throttled_periods) periods" [ "$(told throttled_periods)" -gt 0 ]

heading 'Left behind'
id=$(basename "$bundle")
row 'mounts' '' "$(grep -c "$bundle\|$work" /proc/self/mountinfo || true)" [ "$(grep -c "$bundle\|$work" /proc/self/mountinfo)" = 0 ]
states=$(find "$work/state" -mindepth 1 2> /dev/null | wc -l)
row 'state files' '' "$states" [ "$states" = 0 ]
groups=$(find /sys/fs/cgroup -type d -name "$id*" | wc -l)
row 'cgroups' '' "$groups" [ "$groups" = 0 ]

printf '\n'
[ "$failures" = 0 ] || { echo "$failures rows FAILED" >&2; exit 1; }
echo "Try yourself:  $rrun run target/fixtures/shell    $rrun plan target/fixtures/layered    less README.md"

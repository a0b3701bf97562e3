#!/bin/sh
# What the layered container tells about itself: name=value lines; the last, `witness=`, is the witness's JSON.
# scripts/quickstart.sh and tests/fixtures.rs read them.

# The first hierarchy that has the file: cgroup v2, or the controller's own of v1.
limit() {
    for file in "/sys/fs/cgroup/$1" "/sys/fs/cgroup/$2"; do
        [ -r "$file" ] && { tr '\n' ' ' < "$file"; return; }
    done
    echo '?'
}

echo "release=$(cat /etc/release)"
echo "secret=$(cat /etc/secret 2>/dev/null || echo gone)"
echo "data=$(cd /srv/data && echo *)"
echo "earlier_writes=$(cat /etc/written 2>/dev/null || echo none)"
echo 'by this container' > /etc/written && echo "own_write=$(cat /etc/written)"

echo "pid=$$"
echo "processes=$(ps -o pid= | wc -l)"
# Devices and loopback only: some kernels give each new network namespace an unused tunnel of every kind.
echo "interfaces=$(cd /sys/class/net && for i in *; do case $(cat "$i/type") in 1 | 772) echo "$i" ;; esac; done | xargs)"
echo "uptime_days=$(($(cut -d. -f1 /proc/uptime) / 86400))"

echo "memory_limit=$(limit memory.max memory/memory.limit_in_bytes)"
echo "cpu_quota=$(limit cpu.max cpu/cpu.cfs_quota_us)"
echo "pids_limit=$(limit pids.max pids/pids.max)"
# Limits are believed by their effect: one child too big, a hundred children, one that never rests.
witness --mem 134217728 > /dev/null 2>&1
echo "big_child_status=$?"
echo "hundred_children=$(witness --fork 100)"
throttled() { limit cpu.stat cpu/cpu.stat | sed 's/.*nr_throttled \([0-9]*\).*/\1/'; }
# On a busy machine a short loop may not even get its share.
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    timeout 1 sh -c 'while :; do :; done' 2> /dev/null
    [ "$(throttled)" = 0 ] || break
done
echo "throttled_periods=$(throttled)"

echo "witness=$(witness)"

#!/usr/bin/env bash
# Times rrun beside other runtimes on the bundle that looks like a container engine's (rootfs-fixtures/bundles/engine.json).
#
#   scripts/bench.sh [-n ROUNDS] [NAME=PATH…]      default: 30 rounds; rrun, and crun and runc if installed
#
# Rounds are interleaved (A B C A B C), so that a drift of the machine hits all alike. Prints milliseconds, minimum and median,
# and the median's ratio to the first runtime other than rrun; then the system calls of one run, if strace is there.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
rounds=30
if [ "${1:-}" = -n ]; then
    rounds=$2
    shift 2
fi
runtimes=("$@")
if [ ${#runtimes[@]} -eq 0 ]; then
    cargo build --quiet --release --bin rrun --example witness
    runtimes=("rrun=$root/target/$(rustc -vV | sed -n 's/^host: //p')/release/rrun")
    for peer in crun runc; do
        path=$(command -v "$peer") && runtimes+=("$peer=$path")
    done
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bundle=$(rootfs-fixtures/build.sh "$work/fixtures")/engine
# A process to execute beside needs a container that stays.
mkdir "$work/stays"
jq --arg rootfs "$bundle/rootfs" '.root.path = $rootfs | .process.args = ["sleep", "1000"]' "$bundle/config.json" > "$work/stays/config.json"

# call NAME=PATH ARG…
call() {
    "${1#*=}" --root "$work/${1%%=*}" "${@:2}" > /dev/null 2>> "$work/errors" < /dev/null
}
run() { call "$1" run --bundle "$bundle" bench; }
cycle() {
    call "$1" create --bundle "$bundle" bench
    call "$1" start bench
    call "$1" delete --force bench
}
execute() { call "$1" exec stays true; }
parallel() {
    seq 32 | xargs -P 4 -I{} "${1#*=}" --root "$work/${1%%=*}" run --bundle "$bundle" bench{} > /dev/null 2>> "$work/errors"
}

# measure WORKLOAD ROUNDS
measure() {
    local workload=$1 round runtime start
    for ((round = 0; round < $2; round++)); do
        for runtime in "${runtimes[@]}"; do
            start=${EPOCHREALTIME/./}
            "$workload" "$runtime" || { tail -n 3 "$work/errors" >&2; echo "$workload: ${runtime%%=*} failed" >&2; exit 1; }
            echo $((${EPOCHREALTIME/./} - start)) >> "$work/$workload.${runtime%%=*}"
        done
    done
}
# at FILE PERCENT: the value below which so many of a file's numbers lie
at() { sort -n "$1" | awk -v p="$2" '{ v[NR] = $1 } END { print v[int((NR - 1) * p / 100) + 1] }'; }

report() {
    local runtime name base=
    for runtime in "${runtimes[@]}"; do
        name=${runtime%%=*}
        [ -n "$base" ] || [ "$name" = rrun ] || base=$(at "$work/$1.$name" 50)
    done
    for runtime in "${runtimes[@]}"; do
        name=${runtime%%=*}
        awk -v w="$1" -v n="$name" -v lo="$(at "$work/$1.$name" 0)" -v mid="$(at "$work/$1.$name" 50)" -v base="${base:-0}" \
            'BEGIN { printf "%-10s %-8s %9.2f %9.2f %8s\n", w, n, lo / 1000, mid / 1000, base ? sprintf("%.2f", mid / base) : "-" }'
    done
}

# A first run warms the caches, and shows who can run here at all.
able=()
for runtime in "${runtimes[@]}"; do
    if run "$runtime"; then
        able+=("$runtime")
    else
        echo "left out: ${runtime%%=*}: $(tail -n 1 "$work/errors")" >&2
    fi
done
runtimes=("${able[@]}")
printf '%-10s %-8s %9s %9s %8s\n' workload runtime 'min ms' 'median' ratio
measure run "$rounds"
report run
measure cycle "$rounds"
report cycle
for runtime in "${runtimes[@]}"; do
    call "$runtime" run --detach --bundle "$work/stays" stays
done
measure execute "$rounds"
report execute
for runtime in "${runtimes[@]}"; do
    call "$runtime" delete --force stays
done
measure parallel $((rounds / 10 + 1))
report parallel

if command -v strace > /dev/null; then
    for runtime in "${runtimes[@]}"; do
        strace -f -qq -o "$work/trace" "${runtime#*=}" --root "$work/${runtime%%=*}" run --bundle "$bundle" bench > /dev/null
        printf '%-10s %-8s %9s\n' 'syscalls' "${runtime%%=*}" "$(wc -l < "$work/trace")"
    done
fi

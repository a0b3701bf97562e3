#!/usr/bin/env bash
# Fuzzes the parsers: fuzz.sh [SECONDS] [TARGET…]
#
# SECONDS (default 60) for each target; without TARGET all of fuzz/targets, one after the other. The corpus begins with the
# fixtures and is kept in target/fuzz/corpus, so that the next run goes on where this one ended. A finding ends the run with
# status 1 and lies in target/fuzz/artifacts/TARGET; `fuzz.sh 0 TARGET FILE…` runs files through a target once.
#
# Needs cargo-fuzz, which is installed if it is missing. Coverage needs no unstable feature of Rust, only cargo-fuzz asks for
# one: RUSTC_BOOTSTRAP lets the stable compiler have it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root/fuzz"
seconds=${1:-60}
shift || true
mapfile -t targets < <(sed -n 's/^name = "\(.*\)"/\1/p' Cargo.toml | grep -vx rrun-fuzz)
out=$root/target/fuzz
export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$out/build

if [ -x "$out/bin/cargo-fuzz" ]; then PATH=$out/bin:$PATH; fi
if ! command -v cargo-fuzz > /dev/null; then
    nice cargo install --quiet --locked --root "$out" cargo-fuzz@0.13.2
    PATH=$out/bin:$PATH
fi

# seed TARGET NAME: a first input, from stdin.
seed() {
    mkdir -p "$out/corpus/$1"
    cat > "$out/corpus/$1/seed-$2"
}

seeds() {
    local file name
    for file in ../rootfs-fixtures/bundles/*.json; do
        name=$(basename "$file" .json)
        { printf '\0'; cat "$file"; } | seed config "$name-v1"
        { printf '\013'; cat "$file"; } | seed config "$name-v2"
        jq -c .process "$file" | seed process "$name"
        { printf '\0'; jq -c '.linux.resources // {}' "$file"; } | seed resources "$name-v1"
        { printf '\001'; jq -c '.linux.resources // {}' "$file"; } | seed resources "$name-v2"
    done
    { cat /proc/self/mountinfo; printf '\0'; cat /proc/self/cgroup; } | seed mountinfo host
    printf '0 1000 1\n1 100000 65536\nuser:100000:65536\n1000:7:1\n' | seed id-maps rows
    cat /proc/self/stat /proc/self/net/dev | seed proc-files host
    printf 'rrun\0--root\0/x\0--log=/y\0--log-format\0json\0create\0--bundle\0/b\0--pid-file\0/p\0box' | seed command-line create
    printf 'exec\0--user\0001:2\0--env\0A=b\0--cap\0CAP_KILL\0-t\0box\0sh\0-c\0true' | seed command-line exec
    printf 'update\0--memory\0001.5g\0--cpu-quota\000100\0box' | seed command-line update
    printf 'run\0--layer\0/a\0--overlay\0--keep\0box' | seed command-line run
    printf '1m30.5s' | seed units time
    printf '1.5 GiB' | seed units size
    printf '1000:1000' | seed user ids
    printf '0-3,7,64-70' | seed lists cpus
    printf 'l\003\000\001\005\000\000\000\011\000\000\000\040\000\000\000\005\001u\000\001\000\000\000\004\001s\000\003\000\000\000a.B\000\010\001g\000\001s\000\000\001\000\000\000n\000' |
        seed dbus error
    printf 'F["open /x",2,"hint","E-X","a.b"]' | seed handshake failed
    printf 'J\001\000\000\000' | seed handshake joined
    seed image script <<< '#!/bin/sh -e'
    printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n' | seed image passwd
    head -c 2000 /bin/busybox | seed image program
    printf '\0cache 1\nrss 2\nhierarchical_memory_limit 9\0009223372036854771712\0004096\0000\0000-3\0000\nnr_periods 1\0001 2 3' |
        seed cgroup-files v1
    printf '\001anon 1\nfile 2\0max\0004096\0oom 0\nmax 1\0\0000-3\000usage_usec 5\0some avg10=0.00 avg60=0.00 avg300=0.00 total=1\0008:0 rbytes=1 wbytes=2' |
        seed cgroup-files v2
    printf '{"id":"box","init_process_pid":7,"init_process_start":9,"cgroup_paths":{"memory":"/c/box"}}' | seed state runc
    seed state own < ../fuzz/seeds/rrun.json
    head -c 600 /bin/busybox | seed seccomp bytes
}

mkdir -p "$out"
seeds
files=()
if [ "$seconds" = 0 ]; then
    targets=("$1")
    files=("${@:2}")
elif [ $# -gt 0 ]; then
    targets=("$@")
fi
nice -n 19 cargo fuzz build --fuzz-dir . --sanitizer none "${targets[@]:0:$((${#targets[@]} == 1))}"
status=0
for target in "${targets[@]}"; do
    program=$(find "$out/build" -path "*/release/$target" -type f | head -n1)
    mkdir -p "$out/corpus/$target" "$out/artifacts/$target"
    if [ "$seconds" = 0 ]; then
        "$program" "${files[@]}"
        continue
    fi
    echo "=== $target, $seconds s"
    # A single input may take seconds only, and no parser needs much memory.
    nice -n 19 "$program" -fork=0 -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=512 -max_len=16384 \
        -print_final_stats=1 -verbosity=0 -artifact_prefix="$out/artifacts/$target/" "$out/corpus/$target" 2> "$out/$target.log" || {
        tail -n 30 "$out/$target.log"
        status=1
    }
    sed -n 's/^stat::number_of_executed_units: /  inputs tried: /p' "$out/$target.log"
done
rm -rf /dev/shm/rrun-fuzz-*
exit "$status"

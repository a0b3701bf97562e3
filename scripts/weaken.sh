#!/usr/bin/env bash
# Shows that the tests of attacks can fail: builds an rrun without one of its defences and expects them to notice.
#
#   scripts/weaken.sh [NAME…]     NAME: a patch of tests/security/weaken without its ending; all if none is given
#
# Each patch takes one defence out of the source and names the tests that must notice (`Noticed-by:`). It is applied to a copy of
# the source in target/weaken, built there, and the named tests run with that binary (RRUN). They must pass with the binary as it
# is, and fail with the weakened one. All is copied at the start, so that work on the source can go on. Root only. Prints a
# table; exit status 0 if every weakness was noticed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
[ "$(id -u)" = 0 ] || { echo 'weaken.sh: must be root' >&2; exit 1; }
command -v patch > /dev/null || { echo 'weaken.sh: patch is missing: apt-get install patch' >&2; exit 1; }

cargo build --quiet --bins --examples
tests=$(cargo test --no-run --test blackbox --message-format=json 2> /dev/null | jq -r 'select(.executable and .target.name == "blackbox") | .executable')
work=$root/target/weaken
rm -rf "$work/source" "$work/sound"
mkdir -p "$work/source" "$work/sound"
beside=$(dirname "$(dirname "$tests")")
cp -t "$work/sound" "$beside/rrun" "$beside/examples/witness" "$tests"
tests=$work/sound/$(basename "$tests")
cp -a -t "$work/sound" src
cp -a -t "$work/source" Cargo.toml Cargo.lock .cargo rootfs-fixtures scripts tests
export RRUN=$work/sound/rrun RRUN_WITNESS=$work/sound/witness

# A weakened rrun may do to the host what the test looks for: its /dev/null is another one, as far as this can be seen.
mknod -m 666 "$work/null" c 1 3 2> /dev/null || [ -c "$work/null" ]
run() { # TEST, in the environment given
    # shellcheck disable=SC2016 # the inner shell expands
    unshare --mount --propagation private bash -euc 'mount --bind "$1" /dev/null; shift; exec "$@"' bash "$work/null" \
        timeout 300 "$tests" --exact "$1" > "$work/log" 2>&1 < /dev/null
}

status=0
for patch in "$work"/source/tests/security/weaken/*.patch; do
    name=$(basename "$patch" .patch)
    [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
    rm -rf "$work/source/src"
    cp -a -t "$work/source" "$work/sound/src"
    if ! patch --quiet --directory "$work/source" --strip 1 < "$patch" > "$work/log" 2>&1; then
        echo "$name: the patch does not apply any more: $(tail -n 1 "$work/log")"
        status=1
        continue
    fi
    # What is taken out leaves imports that nobody uses; only errors are of interest.
    (cd "$work/source" && CARGO_TARGET_DIR=$work/target CARGO_PROFILE_DEV_DEBUG=0 cargo build --quiet --bin rrun 2> "$work/log") ||
        { cat "$work/log" >&2; exit 1; }
    weak=$(find "$work/target" -path '*/debug/rrun' -type f | head -n 1)
    while read -r test; do
        if ! run "$test"; then
            echo "$name: $test fails even with the defence"
            status=1
        elif grep -q ' 0 passed' "$work/log"; then
            echo "$name: $test was skipped here: $(grep -o '^test \[[^]]*\]' "$work/log" || true)"
        elif RRUN=$weak run "$test"; then
            echo "$name: NOT noticed by $test"
            status=1
        elif ! grep -q 'test result: FAILED' "$work/log"; then
            echo "$name: $test did not end within five minutes"
            status=1
        else
            echo "$name: noticed by $test"
        fi
    done < <(sed -n 's/^Noticed-by: //p' "$patch")
done
exit "$status"

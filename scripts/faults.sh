#!/usr/bin/env bash
# The fault tests with all that a test run has no time for: faults.sh [KILLS]
#
# Every system call of a start fails once in each of three containers (strace injects it), instead of a sample; and rrun is killed
# KILLS times (default 500) at random instants of create, run, exec and delete. Takes minutes.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
kills=${1:-500}
[ "$(id -u)" = 0 ] || { echo 'faults.sh: must be root' >&2; exit 1; }
scripts/setup.sh test
cargo build --quiet --bins --examples
RRUN_STRESS=100000 cargo test --quiet --test blackbox -- faults::calls
# A quarter for each of the four commands.
RRUN_STRESS=$((kills / 4)) cargo test --quiet --test blackbox -- faults::kills
cargo test --quiet --test blackbox -- faults::steps
cargo test --quiet --test blackbox -- faults::wrecks
cargo test --quiet --test blackbox -- faults::frozen
cargo test --quiet --test blackbox -- faults::rows

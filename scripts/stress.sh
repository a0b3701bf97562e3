#!/usr/bin/env bash
# The races of tests/security for longer, with more threads: scripts/stress.sh [SECONDS [FILTER]]
#
# SECONDS for each race (60), eight exchanging threads to each pair of names. In the suite each has one second and two threads.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export RRUN_STRESS_SECONDS=${1:-60} RRUN_STRESS_THREADS=${RRUN_STRESS_THREADS:-8}
exec cargo test --quiet --test blackbox -- "${2:-security::races}" --test-threads "$(nproc)"

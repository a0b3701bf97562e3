#!/usr/bin/env bash
# Builds the release, which then knows the commit that it is of (`rrun --version`). build.sh [CARGO-OPTION…]
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# A copy of the sources without its history has none.
RRUN_COMMIT=$(git describe --always --dirty --abbrev=12 --exclude '*' 2> /dev/null || echo unknown)
export RRUN_COMMIT
exec cargo build --release "$@"

#!/usr/bin/env bash
# Looks for known holes in what rrun is built from: audit.sh [--install]
#
# cargo-deny checks licences, sources, banned crates and advisories by deny.toml; cargo-audit, where it is installed, checks the
# advisories again, of the fuzz targets too. What is missing is said and skipped: licences and sources are checked by
# tests/house.rs in any case. --install builds cargo-deny into target/tools, which takes longer than a change may wait for.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools=$PWD/target/tools
PATH=$tools/bin:$PATH
skip() { echo "audit.sh: skipped: $*"; }

if [ "${1:-}" = --install ] && ! command -v cargo-deny > /dev/null; then
    nice cargo install --quiet --locked --root "$tools" cargo-deny || skip 'cargo-deny cannot be installed: no registry, or no compiler'
fi
if command -v cargo-deny > /dev/null; then
    cargo deny check --hide-inclusion-graph bans licenses sources
    # The database is a git repository, which is not reachable from everywhere.
    if said=$(cargo deny check advisories 2>&1); then
        echo "$said" | tail -n 1
    elif grep -q 'failed to fetch advisory database' <<< "$said"; then
        skip "advisories: the database cannot be fetched ($(grep -o "Could not resolve host.*" <<< "$said" | head -n 1 || true))"
    else
        echo "$said" >&2
        exit 1
    fi
else
    skip 'cargo-deny is not installed (scripts/audit.sh --install)'
fi
if command -v cargo-audit > /dev/null; then
    for lock in Cargo.lock fuzz/Cargo.lock; do
        said=$(cargo audit --file "$lock" 2>&1) || {
            grep -q "couldn't fetch advisory database" <<< "$said" || { echo "$said" >&2; exit 1; }
            skip "cargo-audit of $lock: the database cannot be fetched"
        }
    done
else
    skip 'cargo-audit is not installed'
fi

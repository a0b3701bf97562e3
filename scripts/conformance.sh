#!/usr/bin/env bash
# Runs the conformance suites of others against several runtimes and prints what they said side by side, as a table.
#
#   scripts/conformance.sh validation DIR RUNTIME…   DIR: opencontainers/runtime-tools, built as its README says
#   scripts/conformance.sh contest DIR RUNTIME…      DIR: contest and runtimetest of youki with its bundle.tar.gz, built likewise
#
# As root; each runtime in a mount namespace of its own. Debian's crun needs scripts/conformance/crun in its place. All that
# was said is kept in $OUT, or a directory below /tmp that is named at the end. docs/conformance.md explains it.
set -euo pipefail

if [ $# -lt 3 ] || [ "$(id -u)" != 0 ]; then
    sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
suite=$1
dir=$(realpath "$2")
shift 2
out=${OUT:-$(mktemp -d /tmp/conformance.XXXXXX)}
mkdir -p "$out"

# run_all RUNTIME DIRECTORY: one file for each part of the suite, its exit status in the last line.
run_all() {
    mkdir -p "$2"
    cd "$dir"
    if [ "$suite" = validation ]; then
        for part in validation/*/*.t; do
            RUNTIME=$1 run_one "$2/$(basename "$part" .t)" "$part"
        done
    else
        for part in $(./contest list); do
            run_one "$2/$part" ./contest run --runtime "$1" --runtimetest "$dir/runtimetest" -t "$part"
        done
    fi
}
run_one() {
    local status=0
    timeout 120 "${@:2}" > "$1" 2>&1 < /dev/null || status=$?
    printf '\nexit %s\n' "$status" >> "$1"
}
export -f run_all run_one
export suite dir

# verdicts NAME: "NAME, part, verdict" with tabs between.
verdicts() {
    local part
    for part in "$out/$1"/*; do
        if [ "$suite" = validation ]; then
            awk '/^ *not ok/ && !/# TODO/ { bad++ } /^ *ok/ && !/# SKIP/ { good++ } /^exit [1-9]/ { ended = ", " $0 }
                 END { printf "%d ok%s%s\n", good, bad ? ", " bad " not" : "", ended }' "$part" | sed "s|^|$1\t$(basename "$part")\t|"
        else
            sed -nE "s|^[0-9]+ / [0-9]+ : (.*) : (not ok\|ok\|skipped).*|$1\t$(basename "$part")::\1\t\2|p
                     s|^exit ([1-9].*)|$1\t$(basename "$part")\texit \1|p" "$part"
        fi
    done
}

names=()
for runtime in "$@"; do
    names+=("$(basename "$runtime")")
    # With a /dev/null of its own, too: crun gives the stdio of a container to its user, and the suites' stdio is that device.
    # shellcheck disable=SC2016 # expanded by the shell inside
    unshare -m --propagation private bash -euc 'mknod -m 666 "$0" c 1 3 && mount --bind "$0" /dev/null && run_all "$@"' \
        "$out/null-${names[-1]}" "$(realpath "$(command -v "$runtime")")" "$out/${names[-1]}"
done
for name in "${names[@]}"; do verdicts "$name"; done | awk -F'\t' -v names="${names[*]}" '
    BEGIN { n = split(names, name, " ") }
    { said[$2, $1] = $3; parts[$2] }
    END {
        line = "| test |"; rule = "|---|"
        for (i = 1; i <= n; i++) { line = line " " name[i] " |"; rule = rule "---|" }
        print line "\n" rule
        for (part in parts) {
            line = "| " part " |"
            for (i = 1; i <= n; i++) line = line " " ((part, name[i]) in said ? said[part, name[i]] : "–") " |"
            print line | "sort"
        }
    }'
echo "kept in $out"

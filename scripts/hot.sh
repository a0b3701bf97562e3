#!/usr/bin/env bash
# Writes the linker script (.cargo/hot.ld) that lays side by side what a start runs; build.rs says why.
#
#   scripts/hot.sh
#
# What is walked instruction by instruction: run and exec of the bundle that scripts/bench.sh times, on x86-64, as root. Takes some
# minutes, and is worth it after larger changes: tests/cost.rs tells by rrun's resident size when the script has become too old.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ "$(id -u)" = 0 ] || { echo 'hot.sh: must be root' >&2; exit 1; }
bundle=$PWD/target/bench/fixtures/engine
[ -d "$bundle" ] || { echo 'hot.sh: run scripts/bench.sh first, which makes the bundle' >&2; exit 1; }
cargo rustc --quiet --release --bin rrun -- -C strip=none
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "target/$(rustc -vV | sed -n 's/^host: //p')/release/rrun" "$work/rrun"
cc -O2 -o "$work/hot" scripts/bench/hot.c
rrun=("$work/rrun" --root "$work/state")

# walk ARG…: prints the names of the functions that this command of rrun runs, in the order in which it comes to them: all names of each.
walk() {
    "$work/hot" "${rrun[@]}" "$@" < /dev/null | grep ' ~ ' > "$work/seen"
    nm --defined-only "$work/rrun" | grep -i ' [twi] ' | LC_ALL=C sort - "$work/seen" |
        awk '$2 == "~" { if (!first || $3 < first) first = $3; next }
             $1 != at { tell(); at = $1 }
             { names[++known] = $3 }
             function tell() { for (i = 1; first && i <= known; i++) print first, names[i]; first = known = 0 }
             END { tell() }' |
        sort -s -n -k 1,1 | cut -d ' ' -f 2
}

walk run --bundle "$bundle" hot > "$work/names"
mkdir "$work/stays"
sed -e 's/"true"/"sleep", "1000"/' -e "s|\"rootfs\"|\"$bundle/rootfs\"|" "$bundle/config.json" > "$work/stays/config.json"
"${rrun[@]}" run --detach --bundle "$work/stays" hot > /dev/null < /dev/null
walk exec hot true >> "$work/names"
"${rrun[@]}" delete --force hot

# Rust's names end in a hash, or a number, that the next build changes. Those of C libraries stand for the files that they come from.
sed -E 's/17h[0-9a-f]{16}E(\..*)?$/17h*/; s/\.[0-9]+$/.*/' "$work/names" | awk '!known[$0]++' > "$work/once"
{
    echo '/* Made by scripts/hot.sh: what a start runs, in a segment of its own (build.rs). */'
    echo 'SECTIONS {'
    echo '  .text.hot : AT(ADDR(.text.hot)) {'
    echo '    *crt1.o(.text) *(.text.main)'
    libc=$(cc -print-file-name=libc.a)
    # Some of the archives are texts for the linker, which nm does not know.
    { nm -A --defined-only "$libc" "${libc%c.a}"m*.a "$(cc -print-libgcc-file-name)" 2> /dev/null || true; } |
        awk 'NR == FNR { if ($1 ~ /^_(ZN|R)/) place[FNR] = ".text." $1 " .text.unlikely." $1; else wanted[$1] = FNR; count = FNR; next }
             $2 ~ /^[TtWwi]$/ && $3 in wanted {
                 split($1, at, ":"); sub(/.*\//, "", at[1]); file = at[1] ":" at[2]
                 if (!(file in first) || wanted[$3] < first[file]) first[file] = wanted[$3]
             }
             END {
                 for (file in first) files[first[file]] = files[first[file]] "    *" file "(.text .text.*)\n"
                 for (i = 1; i <= count; i++) if (i in place) print "    *(" place[i] ")"; else printf "%s", files[i]
             }' "$work/once" -
    echo '  }'
    echo '  .init : { KEEP(*(SORT_NONE(.init))) }'
    echo '  .fini : { KEEP(*(SORT_NONE(.fini))) }'
    echo '} INSERT AFTER .text;'
    echo '/* How to unwind a stack: nobody does where a panic aborts. */'
    echo 'SECTIONS { /DISCARD/ : { *(.eh_frame .eh_frame_hdr .gcc_except_table .gcc_except_table.*) } } INSERT AFTER .text;'
} > .cargo/hot.ld
wc -l .cargo/hot.ld

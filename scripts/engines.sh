#!/usr/bin/env bash
# Starts the real container engines with rrun as their runtime and does with them what their users do.
#
#   scripts/engines.sh [ENGINE…] [--runtime PROGRAM]… [--only PATTERN]
#
#   ENGINE     docker, podman, rootless (Podman as a user without rights), containerd, buildah; none named: all
#   --runtime  a path, or a name that is looked up in PATH; several stand side by side in a table. Default: rrun as built
#              here (target/…/rrun, debug or release, whichever is newer)
#   --only     only the checks whose name matches this pattern, as in case; for work on one of them
#
# One line per check: ok, FAIL and why, skip and why. Exit status 0 if nothing failed. Each engine runs in namespaces and a
# cgroup of its own (engines/sandbox.sh), below one temporary directory: no engine of the host is touched, nothing is left.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/engines
usage() { sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
die() { echo "engines.sh: $*" >&2; exit 1; }

engines=() runtimes=() only='*'
while [ $# -gt 0 ]; do
    case $1 in
        docker | podman | rootless | containerd | buildah) engines+=("$1") ;;
        --runtime) runtimes+=("$(command -v "${2:?--runtime needs a program}")") || die "no runtime $2"; shift ;;
        --only) only=${2:?--only needs a pattern}; shift ;;
        -h | --help) usage; exit ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
[ ${#engines[@]} -gt 0 ] || engines=(docker podman rootless containerd buildah)
if [ ${#runtimes[@]} -eq 0 ]; then
    built=
    for file in "$here"/../../target/{*/,}{debug,release}/rrun; do
        [ ! -x "$file" ] || [ "$file" -ot "$built" ] || built=$file
    done
    [ "$built" ] || die 'rrun is not built: cargo build --bins'
    runtimes=("$built")
fi
[ "$(id -u)" = 0 ] || die 'must be root: it starts engines'
"$here/packages.sh"

work=$(mktemp -d "${TMPDIR:-/tmp}/rrun-engines.XXXXXX")
chmod 755 "$work"
group=rrun-engines-$$
hierarchies=$(awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts)
remove_groups() {
    for hierarchy in $hierarchies; do
        [ ! -d "$hierarchy/$group" ] || find "$hierarchy/$group" -depth -type d -exec rmdir {} \;
    done
}
trap 'remove_groups; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# enter COMMAND…: in a cgroup of its own in each hierarchy, and in new namespaces. The end of the command ends all.
enter() (
    for hierarchy in $hierarchies; do
        mkdir -p "$hierarchy/$group"
        for file in cpuset.cpus cpuset.mems; do
            [ ! -e "$hierarchy/$group/$file" ] || [ -e "$hierarchy/cgroup.controllers" ] ||
                cat "$hierarchy/$file" > "$hierarchy/$group/$file"
        done
        echo "$BASHPID" > "$hierarchy/$group/cgroup.procs"
    done
    exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc --net --ipc --uts --cgroup "$@"
)

mkdir "$work/images"
"$here/images.sh" "$work/images"

# rrun as it is installed: with the drop-in that makes Podman know it, and what Docker and containerd are to be told.
DESTDIR=$work/installed RRUN=${runtimes[0]} "$here/../install.sh" /usr/local > /dev/null

number=0
for runtime in "${runtimes[@]}"; do
    number=$((number + 1))
    for engine in "${engines[@]}"; do
        dir=$work/$number-$engine
        mkdir "$dir"
        printf '\n=== %s with %s\n' "$engine" "$runtime"
        enter "$here/sandbox.sh" "$engine" "$runtime" "$dir" "$only" ||
            { printf 'FAIL\t%s: the list did not come to its end\t\n' "$engine" | tee -a "$dir/results"; tail -n 20 "$dir"/log/* 2> /dev/null || true; }
        cat "$dir/results" >> "$work/results-$number"
        remove_groups
        rm -rf "$dir"
    done
done

if [ ${#runtimes[@]} -gt 1 ]; then
    printf '\n=== side by side'
    for n in "${!runtimes[@]}"; do printf ' · %d: %s' $((n + 1)) "${runtimes[n]}"; done
    echo
    awk -F'\t' '!($2 in seen) { seen[$2] = 1; name[++n] = $2 }
        FNR == 1 { column++ } { verdict[$2, column] = $1 }
        END { for (i = 1; i <= n; i++) { for (c = 1; c <= column; c++) printf "%-5s ", verdict[name[i], c]; print name[i] } }' "$work"/results-*
fi
echo
status=0
for n in "${!runtimes[@]}"; do
    file=$work/results-$((n + 1))
    failed=$(grep -c ^FAIL "$file" || true)
    echo "${runtimes[n]}: $(grep -c ^ok "$file" || true) ok, $failed FAILED, $(grep -c ^skip "$file" || true) skipped"
    # The first runtime is the one under test; the others stand beside it for comparison.
    [ "$n" -gt 0 ] || [ "$failed" = 0 ] || status=1
done
exit $status

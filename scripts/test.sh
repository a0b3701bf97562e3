#!/usr/bin/env bash
# All set-up and all tests: installs what is missing, builds, makes the fixtures, runs the unit tests, the house rules and
# the black-box tests here, as root and as a user; then the quickstart; then the black-box tests in a VM with cgroup v2: bare,
# with systemd; and those of labels with AppArmor and with SELinux.
#
#   scripts/test.sh [--no-vm] [--whole] [--update-docs] [FILTER]     FILTER: only tests whose name contains it
#
# --whole adds the VM as a user of systemd, which takes ten minutes more. --update-docs implies it, and writes what the tests
# said into the table of docs/conformance.md.
# Prints the runners' own closing lines again at the end, what was skipped and why; exit status 0 if nothing failed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
vm=yes
modes=(bare systemd)
update=no
filter=()
for word in "$@"; do
    case $word in
        --no-vm) vm=no ;;
        --whole) modes=(bare systemd rootless) ;;
        --update-docs) update=yes modes=(bare systemd rootless) ;;
        *) filter+=("$word") ;;
    esac
done
[ "$update" = no ] || [ ${#filter[@]} -eq 0 ] || { echo 'test.sh: --update-docs needs the results of all tests' >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo 'test.sh: must be root: the tests make containers, layers and cgroups' >&2; exit 1; }

log=$(mktemp)
# One file per section with black-box tests: what each test said.
results=$(mktemp -d)
trap 'rm -rf "$log" "$results"' EXIT
status=0
skipped=()
section() { printf '\n=== %s\n' "$1" | tee -a "$log"; }

section 'set-up'
scripts/setup.sh test
cargo build --bins --examples
# Taken once from the Debian mirror, then kept in target/.
rootfs-fixtures/debian.sh target/debian || skipped+=('Debian root filesystem: the mirror cannot be reached')

section 'tests on this machine'
RRUN_TEST_RESULTS=$results/host cargo test --no-fail-fast -- "${filter[@]}" 2>&1 | tee -a "$log" || status=1

if [ ${#filter[@]} -eq 0 ]; then
    section 'quickstart'
    scripts/quickstart.sh 2>&1 | tee -a "$log" || status=1
fi

# elsewhere NAME COMMAND…: black-box tests somewhere else, which this machine may be unable to offer (status 77).
elsewhere() {
    local name=$1 verdict=0
    shift
    section "black-box tests $name"
    "$@" 2>&1 | tee -a "$log" || verdict=${PIPESTATUS[0]}
    case $verdict in
        0) ;;
        77) skipped+=("$name: $(tail -n1 "$log")") ;;
        *) status=1 ;;
    esac
}

elsewhere 'as a user' scripts/rootless.sh "${filter[@]}"
if [ "$vm" = no ]; then
    skipped+=('the VM: --no-vm')
else
    for mode in "${modes[@]}"; do
        RRUN_TEST_RESULTS=$results/$mode elsewhere "in a VM, cgroup v2, $mode" scripts/vm.sh "--$mode" "${filter[@]}"
    done
    for lsm in apparmor selinux; do
        RRUN_TEST_RESULTS=$results/$lsm elsewhere "in a VM with $lsm" scripts/vm.sh --lsm "$lsm" "${filter[@]:-lsm::}"
        # What the bare VM had to skip.
        [ ! -e "$results/$lsm" ] || grep -v '"outcome":"skipped"' "$results/$lsm" >> "$results/bare" || true
    done
fi

[[ " ${modes[*]} " == *rootless* ]] || skipped+=('the VM as a user: not --whole')

if [ "$update" = yes ]; then
    RRUN_UPDATE_DOCS=$results cargo test --quiet --test house conformance || status=1
fi

section 'result'
# The runners' own words, and the tests that the host could not carry.
grep -E '^(===|test result:|     Running|   Doc-tests|[0-9]+ rows FAILED|Linux [0-9])' "$log" | grep -v '=== result' || true
printf '\nskipped:\n'
sed -nE 's/^test \[([^]]*)\] +([^ ]*) +\.\.\. ignored.*/\1\t\2/p' "$log" |
    awk -F'\t' '{ names[$1] = names[$1] " " $2; count[$1]++ } END { for (why in names) printf "  %3d × %s:%s\n", count[why], why, names[why] }'
for reason in "${skipped[@]}"; do
    echo "  $reason"
done
awk '/^test result:/ { for (i = 1; i < NF; i++) { if ($(i+1) ~ /^passed/) p += $i; if ($(i+1) ~ /^failed/) f += $i; if ($(i+1) ~ /^ignored/) s += $i } }
     END { printf "\n%d tests ran, %d failed, %d skipped\n", p + f, f, s }' "$log"
exit "$status"

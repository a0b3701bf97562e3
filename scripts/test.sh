#!/usr/bin/env bash
# All set-up and all tests: installs what is missing, builds, makes the fixtures, runs the unit tests, the house rules and
# the black-box tests here, as root and as a user, and the quickstart; then the black-box tests in VMs with cgroup v2: bare, with
# systemd, as a user of systemd; and those of labels with AppArmor and with SELinux. docs/testing.md says what runs where.
#
#   scripts/test.sh [--no-vm | --vms-within MINUTES] [--update-docs] [FILTER]     FILTER: only tests whose name contains it
#
# --no-vm leaves the VMs out, --vms-within those that could not start before so many minutes were over; --update-docs writes what the
# tests said into the table of docs/conformance.md.
# Prints the runners' own closing lines again at the end, what was skipped and why; exit status 0 if nothing failed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
vm=yes
update=no
within=
filter=()
while [ $# -gt 0 ]; do
    case $1 in
        --no-vm) vm=no ;;
        --vms-within)
            [[ ${2:-} =~ ^[0-9]+$ ]] || { echo "test.sh: --vms-within needs a number of minutes" >&2 && exit 2; }
            within=$2 && shift
            ;;
        --update-docs) update=yes ;;
        -*) echo "test.sh: unknown option $1" >&2 && exit 2 ;;
        *) filter+=("$1") ;;
    esac
    shift
done
if [ "$update" = yes ] && { [ "$vm" = no ] || [ -n "$within" ] || [ ${#filter[@]} -gt 0 ]; }; then
    echo 'test.sh: --update-docs needs the results of all tests' >&2
    exit 1
fi
[ "$(id -u)" = 0 ] || { echo 'test.sh: must be root: the tests make containers, layers and cgroups' >&2; exit 1; }

log=$(mktemp)
# One file per section with black-box tests: what each test said; and what the VMs printed.
results=$(mktemp -d)
# The VMs end their own kernels when they are told to stop.
trap 'kill "${!running[@]}" 2> /dev/null || true; wait; rm -rf "$log" "$results"' EXIT
trap 'exit 130' INT TERM
# What runs beside this script: process id → name of the VM.
declare -A running=()
status=0
skipped=()
section() { printf '\n=== %s\n' "$1" | tee -a "$log"; }

section 'set-up'
scripts/setup.sh test
# Beside the builds: the image of the VMs waits for the mirror, the last step of a release build has one thread.
image='' release=''
if [ "$vm" = yes ]; then
    scripts/vm.sh --prepare --run true > /dev/null 2>&1 &
    image=$!
fi
# For the quickstart and the VMs, and built as they do, so that it is built once; and tests/faults looks that a release cannot be told
# to fail.
if [ ${#filter[@]} -eq 0 ]; then
    scripts/build.sh --bin rrun --example witness &
    release=$!
fi
cargo build --bins --examples
cargo test --no-run
[ -z "$release" ] || wait "$release"
# Taken once from the Debian mirror, then kept in target/.
rootfs-fixtures/debian.sh target/debian || skipped+=('Debian root filesystem: the mirror cannot be reached')

section 'tests on this machine'
RRUN_TEST_RESULTS=$results/host cargo test --no-fail-fast -- "${filter[@]}" 2>&1 | tee -a "$log" || status=1

if [ ${#filter[@]} -eq 0 ]; then
    section 'quickstart'
    scripts/quickstart.sh 2>&1 | tee -a "$log" || status=1
fi

# verdict NAME STATUS: what tests elsewhere ended with, their words being in the log; 77 if this machine cannot offer the place.
verdict() {
    case $2 in
        0) ;;
        77) skipped+=("$1: $(tail -n1 "$log")") ;;
        *) echo "FAILED: black-box tests $1, status $2" | tee -a "$log" && status=1 ;;
    esac
}

section 'black-box tests as a user'
code=0
scripts/rootless.sh "${filter[@]}" 2>&1 | tee -a "$log" || code=${PIPESTATUS[0]}
verdict 'as a user' "$code"

# start NAME OPTION…: a VM beside the others.
start() {
    echo "starting the VM $1"
    RRUN_TEST_RESULTS=$results/$1 scripts/vm.sh --release --timeout 1800 "${@:2}" > "$results/$1.log" 2>&1 < /dev/null &
    running[$!]=$1
}

# finish: waits until one VM has ended, and shows what it said.
finish() {
    local code=0 ended name
    wait -n -p ended "${!running[@]}" || code=$?
    name=${running[$ended]}
    unset "running[$ended]"
    section "black-box tests in a VM, cgroup v2, $name"
    tee -a "$log" < "$results/$name.log"
    verdict "in a VM, cgroup v2, $name" "$code"
}

# Each VM has one CPU, on which a fork costs half of what it costs on two; so as many run at a time as there are CPUs. What needs
# two CPUs, and says so in its name, runs in one of the short ones.
if [ "$vm" = no ]; then
    skipped+=('the VMs: left out, --no-vm')
else
    section 'building for the VMs'
    # Once, before several look for it at a time.
    code=0
    # If it failed, the next says why.
    wait "$image" || true
    scripts/vm.sh --release --prepare 2>&1 | tee -a "$log" || code=${PIPESTATUS[0]}
    if [ "$code" -ne 0 ]; then
        verdict 'in a VM' "$code"
    else
        declare -A own=([apparmor]='lsm:: cpus' [selinux]='lsm::')
        machines=('systemd --systemd' 'rootless --rootless' 'apparmor --lsm apparmor --cpus 2' 'selinux --lsm selinux' 'bare --bare')
        kernel=$(tail -n1 "$log")
        # It traces its processes by ptrace(2), which takes three times as long, and lacks what some tests need.
        if [ "${kernel%%.*}" -lt 7 ] && [ ${#filter[@]} -eq 0 ]; then
            skipped+=("in VMs: Debian's user-mode Linux $kernel is slow, so only the tests of groups and of a container's life")
            own=([systemd]='lifecycle:: cgroups:: update:: exec:: delete:: events:: ps::' [bare]='lifecycle:: cgroups:: pause::')
            machines=('systemd --systemd' 'bare --bare')
        fi
        for machine in "${machines[@]}"; do
            read -ra words <<< "$machine"
            only=("${filter[@]}")
            [ ${#only[@]} -gt 0 ] || read -ra only <<< "${own[${words[0]}]:-}"
            [ ${#running[@]} -lt "$(nproc)" ] || finish
            if [ -n "$within" ] && [ "$SECONDS" -gt $((within * 60)) ]; then
                skipped+=("in a VM, cgroup v2, ${words[0]}: $within minutes were over before it could start")
                continue
            fi
            start "${words[@]}" "${only[@]}"
        done
        while [ ${#running[@]} -gt 0 ]; do finish; done
        for lsm in apparmor selinux; do
            # What the bare VM had to skip.
            [ ! -e "$results/$lsm" ] || grep -v '"outcome":"skipped"' "$results/$lsm" >> "$results/bare" || true
        done
    fi
fi

if [ "$update" = yes ]; then
    RRUN_UPDATE_DOCS=$results cargo test --quiet --test house conformance || status=1
fi

section 'result'
# The runners' own words, and the tests that the host could not carry.
grep -E '^(===|test result:|     Running|   Doc-tests|[0-9]+ rows FAILED|Linux [0-9]|FAILED:|vm\.sh:)|\.\.\. FAILED$' "$log" | grep -v '=== result' || true
printf '\nskipped:\n'
sed -nE 's/^test \[([^]]*)\] +([^ ]*) +\.\.\. ignored.*/\1\t\2/p' "$log" |
    awk -F'\t' '{ names[$1] = names[$1] " " $2; count[$1]++ } END { for (why in names) printf "  %3d × %s:%s\n", count[why], why, names[why] }'
for reason in "${skipped[@]}"; do
    echo "  $reason"
done
awk '/^test result:/ { for (i = 1; i < NF; i++) { if ($(i+1) ~ /^passed/) p += $i; if ($(i+1) ~ /^failed/) f += $i; if ($(i+1) ~ /^ignored/) s += $i } }
     END { printf "\n%d tests ran, %d failed, %d skipped\n", p + f, f, s }' "$log"
exit "$status"

# shellcheck shell=bash
# . check.sh ENGINE PATTERN: how a list says what should be. A check is a line of shell and what it should print.
#
#   is NAME WANT CODE      both streams of CODE together, white space at the ends cut, match the pattern WANT
#   exits NAME N CODE      CODE ends with status N
#   skip NAME WHY          this machine cannot show it
#   measured IS…           a check of figures or out-of-memory events, for which containerd's library must find all hierarchies
#   documented HEADING     runs the commands below this heading of docs/engines.md; those that echo hello must do so
#   soon CODE              waits until CODE succeeds, at most 30 s: for use in CODE and between checks

set -euo pipefail

check_engine=$1 check_only=$2

soon() {
    local n
    for ((n = 0; n < 150; n++)); do
        eval "$1" > /dev/null 2>&1 && return 0
        sleep 0.2
    done
    echo "never: $1"
    return 1
}
export -f soon

verdict() {
    printf '%s\t%s: %s\t%s\n' "$1" "$check_engine" "$2" "$3" >> "$ENGINES_DIR/results"
    printf '%-5s %s: %s%s\n' "$1" "$check_engine" "$2" "${3:+ ($3)}"
}

# wanted NAME: whether --only asks for it.
wanted() {
    # shellcheck disable=SC2053 # a pattern
    [[ $1 == $check_only ]]
}

trim() {
    local text=$1
    text=${text#"${text%%[![:space:]]*}"}
    printf %s "${text%"${text##*[![:space:]]}"}"
}

is() {
    wanted "$1" || return 0
    local got
    # script(1) shows the end of its standard input as ^@. Docker's client before 26.1 sometimes says of a `run -d` that went well
    # that it no longer waits (docker/cli pull request 5043).
    got=$(timeout 90 bash -c "$3" 2>&1 < /dev/null | tr -d '\r\0' | sed -e 's/^^@//' -e '/error waiting for container: context canceled"*$/d') || true
    got=$(trim "$got")
    # shellcheck disable=SC2053 # a pattern
    if [[ $got == $2 ]]; then
        verdict ok "$1" ''
    else
        verdict FAIL "$1" "printed: $(printf %s "${got:0:500}" | tr '\n\t' '  '); should be: ${2//$'\n'/ }"
    fi
}

exits() {
    wanted "$1" || return 0
    local got status=0
    got=$(timeout 90 bash -c "$3" 2>&1 < /dev/null | tr -d '\0'; exit "${PIPESTATUS[0]}") || status=$?
    if [ "$status" = "$2" ]; then
        verdict ok "$1" ''
    else
        verdict FAIL "$1" "status $status, should be $2: $(printf %s "${got:0:500}" | tr '\n\t' '  ')"
    fi
}

skip() {
    wanted "$1" || return 0
    verdict skip "$1" "$2"
}

documented() {
    local line block
    block=$(awk -v heading="## $1" '/^## / { here = $0 == heading } /^```/ { code = !code; next } here && code && !/^#/' \
        "$(dirname "${BASH_SOURCE[0]}")/../../docs/engines.md" | sed 's/ *# .*//')
    [ -n "$block" ] || verdict FAIL "docs: $1" 'docs/engines.md has no such commands'
    while read -r line; do
        case $line in
            kubectl*) skip "docs: $line" 'no cluster here'; continue ;;
        esac
        case $line in
            *'echo hello') is "docs: $line" '*hello' "$line" ;;
            *) exits "docs: $line" 0 "$line" ;;
        esac
    done <<< "$block"
}

# A hierarchy that somebody mounted elsewhere, such as hugetlb, is in use by all, and containerd's library gives up on it.
measured() {
    local controllers controller
    while IFS=: read -r _ controllers _; do
        controller=${controllers%%,*}
        if [ "$controller" ] && ! grep -q " cgroup .*\b${controller#name=}\b" /proc/mounts; then
            skip "$2" "the hierarchy $controller is not mounted here"
            return
        fi
    done < /proc/self/cgroup
    "$@"
}

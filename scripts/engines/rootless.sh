# shellcheck shell=bash
# The list for Podman as a user without rights: sourced by sandbox.sh.

set -euo pipefail

ENGINES_USER=4242
# shellcheck source=scripts/engines/podman.sh
. "$(dirname "${BASH_SOURCE[0]}")/podman.sh"

# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Sourced by the test scripts here: running commands in the shell of a kernel, and saying what is wrong.
set -euo pipefail

modules=$HELIX_BUILD_DIRECTORY/modules

fail() {
    printf 'FAILED: %s\n' "$*"
    exit 1
}

# The profile that helix_shell boots; one in which what fails stays Failed is tests/system/no_restart.toml.
shell_profile=demo

# helix_shell ARCH [RUN OPTIONS]: runs the commands on standard input; the guest's output goes to standard output.
# A failed command is part of the test, so the exit status is not looked at.
helix_shell() {
    local arch=$1
    shift
    "$HELIX" run "$shell_profile" --arch "$arch" -q "$@" || true
}

# is_of_its_own_books WAY RECORD: the record of a broken rule says that the policy found it out itself. In a migration
# whoever is forgotten may have moved on before a tick looks: then it is its own books that are wrong, and it says so.
is_of_its_own_books() { [[ $1 == migration && $2 == *'that it is not healthy'* ]]; }

# same_memory OUTPUT: every `memory --json` line in the file reports the same.
same_memory() {
    local reports
    reports=$(grep '^{"pages_total"' "$1" | sort | uniq -c) || fail "no memory report in $1"
    [[ $(wc -l <<<"$reports") == 1 ]] || fail "memory is not what it was: $reports"
}

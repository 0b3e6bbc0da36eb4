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

# same_memory OUTPUT: every `memory --json` line in the file reports the same bytes of the heap in use, and the same pages
# outside of the heap. The heap may keep pages in its magazines, eight for each CPU at most; here one CPU runs.
same_memory() {
    grep '^{"pages_total"' "$1" >"$1.memory" || fail "no memory report in $1"
    sed 's/[^0-9 ]/ /g' "$1.memory" | awk '
        NR == 1 { outside = $2 + $3; heap = $3; bytes = $4 }
        $4 != bytes || $2 + $3 != outside || $3 > heap + 8 || $3 < heap - 8 { bad = 1 }
        END { exit bad }' || fail "memory is not what it was: $(sort "$1.memory" | uniq -c)"
}

#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A module that waits for itself, through others in files, is not loaded: the sentence names the cycle, whole. A
# dependency that nobody has is missing, as before. Nothing stays allocated.
source "$HELIX_ROOT/tests/system/lib.sh"

for arch in hosted x86_64; do
    output=$HELIX_TEST_DIRECTORY/$arch
    printf '%s\n' "load cycle-b" "memory --json" "load cycle-b" "load cycle-a" "load needs-missing" \
        "swap helix.scheduler cycle-a" "memory --json" "modules" |
        helix_shell "$arch" --file "$modules/cycle-a.hmod" --file "$modules/cycle-b.hmod" \
            --file "$modules/needs-missing.hmod" >"$output" 2>&1
    [[ $(grep -cx 'error: cycle-b.hmod: cycle-b needs cycle-a needs cycle-b: a cycle' "$output") == 2 ]] &&
        [[ $(grep -cx 'error: cycle-a.hmod: cycle-a needs cycle-b needs cycle-a: a cycle' "$output") == 2 ]] &&
        grep -q '^error: needs-missing.hmod: needs-missing needs .*: no module is or provides' "$output" ||
        fail "$arch: $(cat "$output")"
    ! grep -q '^cycle-\|[Pp]anic' "$output" || fail "$arch: $(cat "$output")"
    same_memory "$output"
done

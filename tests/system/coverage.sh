#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# `test --coverage` counts what its tests execute: the archive's reader by its own tests, and the shell by none of them.
# timeout: 1200
# long
source "$HELIX_ROOT/tests/system/lib.sh"
output=$HELIX_TEST_DIRECTORY/output

"$HELIX" test --coverage unit/Archive >"$output" 2>&1 || fail "$(tail -20 "$output")"
covered() { awk -v file="$1" '$4 == file { print int($1) }' "$output"; }
(($(covered kernel/module/archive.cpp) >= 80)) || fail "the archive's reader: $(grep archive "$output")"
(($(covered kernel/console/shell.cpp) == 0)) || fail "the shell: $(grep shell "$output")"
[[ -n $(covered kernel/module) ]] || fail "no sum of kernel/module: $(tail -20 "$output")"

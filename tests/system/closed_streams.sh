#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# With standard input closed a kernel powers off at once, as at the end of input; with standard output closed the tool
# says so.
source "$HELIX_ROOT/tests/system/lib.sh"

output=$HELIX_TEST_DIRECTORY/output
for arch in hosted x86_64; do
    for input in '<&-' '</dev/null'; do
        status=0
        eval '"$HELIX" run --arch "$arch"' "$input" >"$output" 2>&1 || status=$?
        ((status == 0)) || fail "$arch, $input: ended with $status: $(cat "$output")"
    done
    "$HELIX" run --arch "$arch" --exec 'echo it runs' <&- >"$output" 2>&1 || fail "$arch, --exec: $(cat "$output")"
    grep -qx 'it runs' "$output" || fail "$arch, --exec: $(cat "$output")"
    status=0
    "$HELIX" run --arch "$arch" --exec 'echo it runs' >&- 2>"$output" || status=$?
    ((status == 125)) && grep -q 'cannot write to standard output' "$output" ||
        fail "$arch: without output it ended with $status: $(cat "$output")"
done

#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# The tour keeps its promises in both ports: every step is shown, no thread is lost by the swap or by the crash, and the
# policy that crashed was rolled back.
source "$HELIX_ROOT/tests/system/lib.sh"

for arch in hosted x86_64; do
    output=$HELIX_TEST_DIRECTORY/$arch
    "$HELIX" demo --fast --arch "$arch" >"$output" 2>&1 || fail "$arch: the tour ended with $?: $(cat "$output")"
    [[ $(grep -c '^{"threads":1000,"progressed":1000,"lost":0,"run_twice":0,"starved":0,' "$output") == 2 ]] ||
        fail "$arch: $(grep '"progressed"\|error' "$output")"
    # The record of each swap, in the listing of the step that shows it.
    grep -q ' helix-scheduler-round-robin 1.0.0 *helix-scheduler-priority 1.0.0 *committed ' "$output" &&
        grep -q ' helix-scheduler-priority 1.0.0 *scheduler-crashes 1.0.0 *rolled-back *probation ' "$output" ||
        fail "$arch: $(grep 'helix\.scheduler' "$output")"
    grep -q '^{"threads":0,.*"run_twice":0,"cancelled":0,' "$output" || fail "$arch: $(tail -5 "$output")"
    ! grep -qi 'panic' "$output" || fail "$arch: $(grep -i panic "$output")"
done

#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Fifty swaps among all policies under three hundred threads on four virtual CPUs that go and come, in replay: no thread
# is lost, run twice or starved, and the same seed gives the same run.
# timeout: 240
source "$HELIX_ROOT/tests/system/storm_lib.sh"

seed=${HELIX_SEED:-$SRANDOM}
for run in first second; do
    storm system/swap_storm_replay "$seed" hosted 4 300 50 2 110 --replay "$((seed % 1000000))"
    mv "$HELIX_TEST_DIRECTORY/hosted-4-$seed" "$HELIX_TEST_DIRECTORY/$run"
done
cmp -s "$HELIX_TEST_DIRECTORY/first" "$HELIX_TEST_DIRECTORY/second" ||
    fail "seed $seed: two runs differ: $(diff "$HELIX_TEST_DIRECTORY/first" "$HELIX_TEST_DIRECTORY/second" | head -5)"

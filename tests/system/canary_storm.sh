#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Swaps among all policies, every other one with a canary, under threads that come, go, move and change their attributes,
# while CPUs go and come, in both ports: no thread is lost, run twice or starved. In replay the same seed gives the same run.
# timeout: 400
source "$HELIX_ROOT/tests/system/storm_lib.sh"

sed 's/^dynamic = .*/&\nprobation = "1ms"/' "$storm_profile" >"$HELIX_TEST_DIRECTORY/storm.toml"
storm_profile=$HELIX_TEST_DIRECTORY/storm.toml
storm_canaries=2
seed=${HELIX_SEED:-$SRANDOM}
storm system/canary_storm "$seed" hosted 4 300 100 4 100
storm system/canary_storm "$seed" x86_64 4 200 40 2 150
for run in first second; do
    storm system/canary_storm "$seed" hosted 4 200 40 2 100 --replay "$((seed % 1000000))"
    mv "$HELIX_TEST_DIRECTORY/hosted-4-$seed" "$HELIX_TEST_DIRECTORY/$run"
done
cmp -s "$HELIX_TEST_DIRECTORY/first" "$HELIX_TEST_DIRECTORY/second" ||
    fail "seed $seed: two runs differ: $(diff "$HELIX_TEST_DIRECTORY/first" "$HELIX_TEST_DIRECTORY/second" | head -5)"

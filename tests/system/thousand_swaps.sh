#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A thousand swaps among all policies under a thousand threads, in both ports: none lost, run twice or starved.
# timeout: 300
source "$HELIX_ROOT/tests/system/lib.sh"

{
    echo "load helix-workload"
    for policy in priority fair deadline cooperative; do echo "load helix-scheduler-$policy"; done
    echo "request helix-workload start 1000"
    for ((i = 0; i < 200; ++i)); do
        for policy in priority fair deadline cooperative round-robin; do
            printf '%s\n' "swap helix.scheduler helix-scheduler-$policy" "sleep 2"
        done
        ((i % 50 == 49)) && echo "request helix-workload check"
    done
    echo "interfaces --json"
    echo "request helix-workload stop"
    echo "unload helix-workload"
} >"$HELIX_TEST_DIRECTORY/commands"

for arch in hosted x86_64; do
    output=$HELIX_TEST_DIRECTORY/$arch
    helix_shell "$arch" --timeout 140 <"$HELIX_TEST_DIRECTORY/commands" >"$output" 2>&1
    [[ $(grep -c ', committed' "$output") == 1000 ]] ||
        fail "$arch: $(grep -c ', committed' "$output") of 1000 swaps were committed: $(grep -i error "$output" | head -3)"
    [[ $(grep -c '"progressed":1000,"lost":0,"run_twice":0,"starved":0' "$output") == 4 ]] ||
        fail "$arch: $(grep '"progressed"' "$output")"
    # The slot counts its fillings exactly: one at boot and one for each swap.
    grep -q '"generation":1001' "$output" || fail "$arch: $(grep generation "$output")"
done

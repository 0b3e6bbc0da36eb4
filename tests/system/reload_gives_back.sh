#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# What a reload keeps for the next one goes with its probation, also where the module is on another one by then: that of a
# swap that made it the ruling policy.
source "$HELIX_ROOT/tests/system/lib.sh"

# The first round fills what is kept on purpose; the third begins with a reload.
commands() {
    echo "load helix-scheduler-priority"
    for round in 1 2 3; do
        [[ $round != 3 ]] || printf '%s\n' "reload helix-scheduler-priority" "sleep 500"
        printf '%s\n' "swap helix.scheduler helix-scheduler-priority" "sleep 1100" settle \
            "swap helix.scheduler helix-scheduler-round-robin" "sleep 1100" settle
        [[ $round == 1 ]] || echo "memory --json"
    done
}

for arch in hosted x86_64; do
    output=$HELIX_TEST_DIRECTORY/$arch
    commands | helix_shell "$arch" >"$output" 2>&1
    [[ $(grep -c ', committed;' "$output") == 7 ]] || fail "$arch: $(cat "$output")"
    # Pages may be the heap's or free: its magazines keep some.
    found=$(grep '^{"pages_total"' "$output" | sed 's/[^0-9 ]/ /g' | awk '{ print $2 + $3, $4 }' | uniq -c)
    [[ $found == *" 2 "* ]] || fail "$arch: pages outside of use, and bytes in use, are not what they were: $found"
done

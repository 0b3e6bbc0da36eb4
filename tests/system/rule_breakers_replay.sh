#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A policy that breaks a rule, whichever, is found out in the same way each time the seed is the same, on several CPUs:
# rule, thread, function, line, and when, to the nanosecond. Other seeds are other runs.
# timeout: 300
source "$HELIX_ROOT/tests/system/lib.sh"
source "$HELIX_ROOT/tests/system/rule_breakers_lib.sh"
sed 's/probation = "1ms"/probation = "60s"/' "$HELIX_ROOT/tests/system/rule_breakers.toml" \
    >"$HELIX_TEST_DIRECTORY/on_probation.toml"

for cpus in 2 4; do
    for seed in 1 2 3; do
        [[ $seed == 1 ]] && when=on_probation || when=long_after
        [[ $when == on_probation ]] && shell_profile=$HELIX_TEST_DIRECTORY/on_probation.toml ||
            shell_profile=$HELIX_ROOT/tests/system/rule_breakers.toml
        for run in first second; do
            output=$HELIX_TEST_DIRECTORY/$cpus-$seed-$run
            break_all_rules $when 16 | helix_shell hosted --smp "$cpus" --replay "$seed" --timeout 100 >"$output" 2>&1
            check_all_rules "$cpus CPUs, seed $seed" "$output" 16
            records_of "$output" >"$output.history"
        done
        first=$HELIX_TEST_DIRECTORY/$cpus-$seed-first second=$HELIX_TEST_DIRECTORY/$cpus-$seed-second
        diff "$first.history" "$second.history" || fail "$cpus CPUs, seed $seed: the history is another the second time"
        diff "$first" "$second" || fail "$cpus CPUs, seed $seed: what is printed is something else the second time"
    done
    sums=$(cat "$HELIX_TEST_DIRECTORY/$cpus"-[123]-first.records | cut -d, -f3- | sort -u | wc -l)
    ((sums > 2 * ${#ways[@]})) || fail "$cpus CPUs: three seeds gave almost the same run"
done

#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A policy that picks nobody, or forgets a thread, is out within the profile's `watchdog`, in the time of the machine: in
# replay that is the same on any host.
source "$HELIX_ROOT/tests/system/lib.sh"

# time_of TEXT OUTPUT: of the first line of the log with it, in microseconds.
time_of() {
    local line
    line=$(grep -m1 "^\[ *[0-9]*\.[0-9]*\] [a-z]* *$1" "$2") || fail "no line with \"$1\": $(cat "$2")"
    sed 's/^\[ *\([0-9]*\)\.\([0-9]*\)\].*/\1\2/; s/^0*\(.\)/\1/' <<<"$line"
}

for budget in 40 100; do
    sed "s/^watchdog = .*/watchdog = \"${budget}ms\"/" "$HELIX_ROOT/tests/system/rule_breakers.toml" \
        >"$HELIX_TEST_DIRECTORY/$budget.toml"
    shell_profile=$HELIX_TEST_DIRECTORY/$budget.toml
    for way in never forgets; do
        for seed in 1 2 3; do
            output=$HELIX_TEST_DIRECTORY/$budget-$way-$seed
            printf '%s\n' "load helix-workload" "request helix-workload start 16" "load scheduler-rule-breaker" \
                "swap helix.scheduler scheduler-rule-breaker" "request scheduler-rule-breaker break $way" settle log |
                helix_shell hosted --smp 2 --replay "$seed" >"$output" 2>&1
            took=$(($(time_of 'supervisor: helix-scheduler-round-robin rules' "$output") -
                $(time_of 'scheduler-rule-breaker: begins' "$output")))
            ((took > 0 && took <= budget * 1000)) || fail "$way, seed $seed: out after $took us, not within $budget ms"
            echo "$way, seed $seed: $took us of $budget ms"
        done
    done
done

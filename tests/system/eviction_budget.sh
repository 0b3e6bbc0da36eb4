#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A policy that picks nobody, forgets a thread, or forgets one and says that it has it, is out within the profile's
# `watchdog`, in the time of the machine: in replay that is the same on any host. One that keeps a thread back is out
# within that, after the time for which its promise of turns lets it.
# timeout: 300
source "$HELIX_ROOT/tests/system/lib.sh"

# time_of TEXT OUTPUT: of the first line of the log with it, in microseconds.
time_of() {
    local line
    line=$(grep -m1 "^\[ *[0-9]*\.[0-9]*\] [a-z]* *$1" "$2") || fail "no line with \"$1\": $(cat "$2")"
    sed 's/^\[ *\([0-9]*\)\.\([0-9]*\)\].*/\1\2/; s/^0*\(.\)/\1/' <<<"$line"
}

# took WAY SEED CPUS: in microseconds, from the first thread or pick that is wrong until another policy rules.
took() {
    local output=$HELIX_TEST_DIRECTORY/$budget-$1-$2-$3
    printf '%s\n' "load helix-workload" "request helix-workload start 16" "load scheduler-rule-breaker" \
        "swap helix.scheduler scheduler-rule-breaker" "request scheduler-rule-breaker break $1" settle log |
        helix_shell hosted --smp "$3" --replay "$2" >"$output" 2>&1
    echo $(($(time_of 'supervisor: helix-scheduler-round-robin rules' "$output") -
        $(time_of 'scheduler-rule-breaker: wrongs' "$output")))
}

turn=11 # of the policy that the rule breaker begins with, and a tick
for budget in 40 100; do
    sed "s/^watchdog = .*/watchdog = \"${budget}ms\"/" "$HELIX_ROOT/tests/system/rule_breakers.toml" \
        >"$HELIX_TEST_DIRECTORY/$budget.toml"
    shell_profile=$HELIX_TEST_DIRECTORY/$budget.toml
    for way in never forgets admits hides starves; do
        for run in 1:2 2:2 3:2 1:1; do
            seed=${run%:*} cpus=${run#*:}
            took=$(took "$way" "$seed" "$cpus")
            # All the others may wait on the same CPU.
            limit=$budget
            [[ $way != starves ]] || limit=$((budget + 4 * 17 * turn))
            ((took >= 0 && took <= limit * 1000)) || fail "$way, seed $seed, $cpus CPUs: out after $took us, not within $limit ms"
            echo "$way, seed $seed, $cpus CPUs: $took us of $limit ms"
        done
    done
done

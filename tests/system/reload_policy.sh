#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# The ruling policy is reloaded in place under threads: none is lost, and its counters go on. A newer version of it that
# crashes in a pick gives its place back to the one before, with its counters, and nothing of either stays behind.
source "$HELIX_ROOT/tests/system/lib.sh"

name=helix-scheduler-round-robin

# Each probation ends with the next reload.
commands() {
    echo "load helix-workload"
    for round in 1 2 3 4 5 6; do
        # Every event is a pick. Where no other threads run, memory can be compared.
        ((round == 6)) && echo "request helix-workload start 100"
        ((round == 6)) && echo "request helix-workload check"
        printf '%s\n' "event poke" "event poke" "request $name statistics"
        printf '%s\n' "reload $name" "event poke" "request $name statistics"
        ((round == 6)) && echo "request helix-workload check"
        printf '%s\n' "reload $name round-robin-crashes" "event poke" "settle" "request $name statistics"
        ((round == 6)) && echo "request helix-workload check"
        printf '%s\n' "interfaces --json" "module $name --json" settle
        ((round == 4 || round == 5)) && echo "memory --json"
    done
    echo "request helix-workload stop"
    echo "history --json"
}

# number LINE KEY: of the LINEth report of the policy.
number() { grep '^{"time_slice_ms"' "$output" | sed -n "$1s/.*\"$2\":\([0-9]*\)[,}].*/\1/p"; }

for arch in hosted x86_64; do
    output=$HELIX_TEST_DIRECTORY/$arch
    commands | helix_shell "$arch" --timeout 60 --file "$modules/round-robin-crashes.hmod" >"$output" 2>&1
    [[ $(grep -c "^$name: $name 1.0.0 -> $name 1.0.0, committed" "$output") == 6 ]] &&
        [[ $(grep -c "^$name: $name 1.0.0 -> $name 9.0.0, committed" "$output") == 6 ]] ||
        fail "$arch: $(grep "^$name: \|^error" "$output")"
    [[ $(grep -o '"to":"[^"]* 9.0.0","result":"rolled-back","phase":"probation","reason":"[^"]*invalid instruction' \
        "$output" | wc -l) == 6 ]] || fail "$arch: $(tail -2 "$output")"
    # It rules again, and its file is the one that a reload without a file takes: that of round n + 1 was 1.0.0.
    [[ $(grep -c "\"name\":\"helix.scheduler\",\"primary\":\"$name\"" "$output") == 6 ]] &&
        [[ $(grep -c "^{\"name\":\"$name\",\"version\":\"1.0.0\",\"state\":\"Running\",.*\"file\":\"$name.hmod\"" "$output") == 6 ]] ||
        fail "$arch: $(grep '"primary"\|"file"' "$output")"
    [[ $(grep -c '"progressed":100,"lost":0,"run_twice":0,"starved":0' "$output") == 3 ]] ||
        fail "$arch: $(grep '"progressed"\|error' "$output")"
    for ((report = 2; report <= 18; ++report)); do
        # Three reports a round: before the reload, after it, and from who came back after the crash.
        (($(number $report picks) >= $(number $((report - 1)) picks))) &&
            (($(number $report enqueues) >= $(number $((report - 1)) enqueues))) &&
            (($(number $report predecessors) == $(number $((report - 1)) predecessors) + (report % 3 == 2))) ||
            fail "$arch: report $report forgot something: $(grep '^{"time_slice_ms"' "$output")"
    done
    (($(number 1 picks) >= 2 && $(number 18 picks) > $(number 1 picks))) || fail "$arch: it picked nobody"
    same_memory "$output"
done

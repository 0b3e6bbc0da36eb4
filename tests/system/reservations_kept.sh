#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Whoever is granted a reservation gets its CPU time from then on, also if it runs or waits on another CPU than the one
# where there is room for it, among threads that only compute, and though nobody ever blocks: in virtual time, which is the
# same for all CPUs only in replay.
# timeout: 300
source "$HELIX_ROOT/tests/system/lib.sh"

cd "$HELIX_TEST_DIRECTORY"
readonly commands="load helix-workload; swap helix.scheduler helix-scheduler-deadline
    request helix-workload start_equals 6; sleep 50
    request helix-workload attributes '0 0 60000 0 100000'; request helix-workload attributes '2 0 60000 0 100000'
    request helix-workload attributes '1 0 60000 0 100000'; sleep 100; threads --json; sleep 600; threads --json
    cpu offline 2; sleep 20; cpu online 2; sleep 200; threads --json; sleep 600; threads --json
    request helix-workload stop; health"

# runtime_ms LINE SLOT: the CPU time of that thread in the LINEth report of `output`.
runtime_ms() {
    local ns
    ns=$(grep '"name":"workload-' output | sed -n "$1s/.*\"name\":\"workload-$2\",[^}]*\"runtime_ns\":\([0-9]*\).*/\1/p")
    echo $((ns / 1000000))
}

# measure OPTIONS: 60 % of a CPU for three threads of six on three CPUs, of the 600 ms between two reports; the same when
# one of the CPUs was away, and the thread that had to leave it had to find another.
measure() {
    local slot got phase
    "$HELIX" run demo -q --smp 3 "$@" --exec "${commands//$'\n'/; }" >output 2>&1 || fail "$*: $(cat output)"
    [[ $(grep -c '"name":"workload-5"' output) == 4 ]] || fail "$*: $(cat output)"
    for phase in 1 3; do
        for slot in 0 1 2; do
            got=$(($(runtime_ms $((phase + 1)) $slot) - $(runtime_ms $phase $slot)))
            # A period's budget may be in front of the first report; 40 % are left for each CPU's others.
            ((got >= 300 && got <= 599)) ||
                fail "$*: thread $slot had $got of 360 ms in 600 ms from report $phase on: $(cat output)"
        done
    done
    grep -q 'helix-scheduler-deadline .*healthy' output || fail "$*: $(cat output)"
}

for seed in 1 2 3 4 5 6; do measure --arch hosted --replay $seed; done

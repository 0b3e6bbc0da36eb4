#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Threads of equal priority get turns of the profile's time slice from every policy, before and after swaps: measured by
# the threads themselves in virtual time, so that every run with the same seed is the same.
# timeout: 120
source "$HELIX_ROOT/tests/system/lib.sh"

cd "$HELIX_TEST_DIRECTORY"
readonly commands="load helix-workload; request helix-workload start_equals 4
    sleep 1500; request helix-workload turns; swap helix.scheduler helix-scheduler-priority
    sleep 1500; request helix-workload turns; swap helix.scheduler helix-scheduler-round-robin
    sleep 1100; request helix-workload turns
    sleep 1500; request helix-workload turns; request helix-workload stop"

# turns LINE KEY: a number of the LINEth report in the file `output`.
turns() { grep '"turns":' output | sed -n "$1s/.*\"$2\":\([0-9]*\).*/\1/p"; }

# measure SLICE RUN OPTIONS: what the three policies in turn give to four threads.
measure() {
    local slice=$1 line
    shift
    sed -e "s/^time_slice_ms = .*/time_slice_ms = $slice/" -e 's/^dynamic = \[/&"helix-workload", /' \
        "$HELIX_ROOT/tests/system/time_slice.toml" >turns.toml
    "$HELIX" run turns.toml -q "$@" --exec "${commands//$'\n'/; }" >output 2>&1 || fail "$*: $(cat output)"
    [[ $(grep -c '"turns":' output) == 4 && $(grep -c ', committed;' output) == 2 ]] || fail "$*: $(cat output)"
    # A slice ends at the first tick that finds it used, and the tick at which it began does not count: slice + 2 ticks.
    # A thread sees its turn begin and end up to a tick late and early. The third report is of the probation.
    for line in 1 2 3 4; do
        local time=1500 median shortest=$(((slice - 1) * 1000)) longest=$(((slice + 2) * 1000))
        median=$(turns $line median_us)
        ((median >= shortest && median <= longest)) ||
            fail "$*: turns of $median us in report $line, with a slice of $slice ms: $(cat output)"
        # Whoever runs during a swap begins a new slice with the new policy.
        ((line == 3)) && time=1100
        ((line == 2 || line == 3)) && longest=$((2 * longest))
        (($(turns $line longest_us) <= longest)) || fail "$*: a turn was too long in report $line: $(cat output)"
        # Nothing but the waking shell ends a turn early. A turn is counted when its thread has the next one.
        (($(turns $line turns) >= time / (slice + 2) - 4)) || fail "$*: too few turns in report $line: $(cat output)"
    done
}

measure 30 --arch hosted --replay 1
measure 30 --arch x86_64 --icount
for port in "hosted --replay 2" "x86_64 --icount"; do
    # shellcheck disable=SC2086
    measure 7 --arch $port
    cp output first
    # shellcheck disable=SC2086
    measure 7 --arch $port
    cmp -s first output || fail "$port: two runs differ: $(diff first output)"
done

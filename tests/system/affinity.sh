#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A thread that is bound to some CPUs runs on these alone, at once, under each policy, through swaps, and as soon as one of
# them is online again after none was; a reservation moves along, or the bond is refused. In virtual time.
# timeout: 300
source "$HELIX_ROOT/tests/system/lib.sh"

cd "$HELIX_TEST_DIRECTORY"
readonly policies=(helix-scheduler-round-robin helix-scheduler-priority helix-scheduler-fair helix-scheduler-deadline
    helix-scheduler-cooperative)

# bind SLOT MASK, and reports some times: wherever the thread is then is where it ran.
report() { for _ in 1 2 3 4; do printf '%s\n' "sleep 7" "threads --json"; done; }
bind() { echo "request helix-workload affinity '$1 $2'"; }

commands() {
    printf '%s\n' "load helix-workload" "request helix-workload start_equals 7"
    for policy in "${policies[@]}"; do
        echo "echo policy"
        [[ $policy == helix-scheduler-round-robin ]] || echo "swap helix.scheduler $policy"
        # Who is bound to it comes back, also if the policy was told of that by the kernel alone.
        printf '%s\n' "cpu offline 2" "sleep 30" "cpu online 2" "sleep 200" "echo kept"
        report
        bind 0 2
        bind 1 4
        bind 2 4
        bind 3 3
        # More than CPU 2 would take by their number.
        bind 4 4
        bind 5 4
        bind 6 4
        bind 6 6
        echo "echo bound"
        report
        printf '%s\n' "cpu offline 2" "echo away" "threads --json"
        report
        # It takes some ticks until the CPU where they are looks.
        printf '%s\n' "cpu online 2" "sleep 100" "echo back"
        report
        bind 0 1
        bind 1 7
        echo "echo elsewhere"
        report
    done
    printf '%s\n' "request helix-workload stop" "echo end"
}

# places PART SLOT: the CPUs on which the thread was, of those reports.
places() {
    sed -n "/^$1\$/,/^[a-z]/p" part | grep -o "\"name\":\"workload-$2\",[^}]*" | grep -o '"cpu":[0-9]*' | sort -u |
        tr -dc '0-9\n' | tr '\n' ' '
}
# expect WHO PART SLOT PATTERN
expect() {
    local found
    found=$(places "$2" "$3")
    [[ $found =~ ^($4)$ ]] || fail "$1: $2: thread $3 was on CPUs $found and not on $4: $(cat output)"
}

measure() {
    local policy
    commands | tr '\n' ';' >script
    "$HELIX" run demo -q --smp 3 "$@" --exec "$(<script)" >output 2>&1 || fail "$*: $(cat output)"
    grep -qx end output || fail "$*: $(cat output)"
    awk '/^policy$/{n++} {print > ("part." n+0)}' output
    for policy in "${policies[@]}"; do
        ((++number))
        cp "part.$number" part
        if ((number > 1)); then  # as they were bound under the policy before
            expect "$policy" kept 0 '0 '
            expect "$policy" kept 2 '2 '
            expect "$policy" kept 4 '2 '
            expect "$policy" kept 5 '2 '
            expect "$policy" kept 3 '0 |1 |0 1 '
        fi
        expect "$policy" bound 0 '1 '
        expect "$policy" bound 1 '2 '
        expect "$policy" bound 2 '2 '
        expect "$policy" bound 3 '0 |1 |0 1 '
        expect "$policy" away 0 '1 '
        expect "$policy" away 6 '1 '
        expect "$policy" away 1 '0 |1 |0 1 ' # none of its CPUs is there
        expect "$policy" back 1 '2 '
        expect "$policy" back 2 '2 '
        expect "$policy" back 4 '2 '
        expect "$policy" back 5 '2 '
        expect "$policy" elsewhere 0 '0 '
        expect "$policy" elsewhere 2 '2 '
    done
}

for seed in 1 2 3; do
    number=0
    measure --arch hosted --replay $seed
done

# Two of three CPUs are reserved; who has the one is bound to the other, and refused. What a move gives back is free when
# it is paid for.
helix_shell hosted --smp 3 --replay 4 >output 2>&1 <<'COMMANDS'
load helix-workload
swap helix.scheduler helix-scheduler-deadline
request helix-workload start_equals 6
request helix-workload attributes "0 0 60000 0 100000"
request helix-workload affinity "0 1"
sleep 200
request helix-workload attributes "1 0 60000 0 100000"
request helix-workload affinity "1 2"
sleep 200
echo refused
request helix-workload affinity "1 1"
echo granted
request helix-workload affinity "0 4"
sleep 20
threads --json
sleep 1000
threads --json
request helix-workload affinity "9 1"
request helix-workload affinity "0 8"
request helix-workload affinity "1"
COMMANDS
grep -A1 '^refused$' output | grep -q 'no room for its reservation' || fail "it is not refused: $(cat output)"
grep -A1 '^granted$' output | grep -qx ok || fail "it is refused: $(cat output)"
grep -q 'there is no slot 9' output || fail "$(cat output)"
grep -q 'the machine has none of these CPUs' output || fail "$(cat output)"
grep -q 'expected: SLOT MASK' output || fail "$(cat output)"
# runtime_ms REPORT SLOT
runtime_ms() {
    local ns
    ns=$(grep '"name":"workload-' output | sed -n "$1s/.*\"name\":\"workload-$2\",[^}]*\"runtime_ns\":\([0-9]*\).*/\1/p")
    echo $((ns / 1000000))
}
for slot in 0 1; do
    got=$(($(runtime_ms 2 $slot) - $(runtime_ms 1 $slot)))
    ((got >= 540)) || fail "thread $slot had $got of 600 ms: $(cat output)"
done

#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A policy that fails in any of its methods or other entry points, while it rules or while it stands by, is taken out; the
# one before it rules, no thread is lost, and memory is what it was. In both ports, on two CPUs.
# timeout: 400
source "$HELIX_ROOT/tests/system/lib.sh"

ways=(null loop stack_overflow)
# On probation and ruling; statistics is asked by the kernel's audit, dequeue when a CPU leaves.
entries=(enqueue dequeue pick_next yield tick should_preempt select_cpu statistics is_healthy handle_request handle_event)

crash() {
    local entry=$1 way=$2
    printf '%s\n' "load scheduler-crasher" "swap helix.scheduler scheduler-crasher" \
        "request scheduler-crasher arm \"$entry $way\""
    case $entry in
        dequeue) printf '%s\n' "cpu offline 1" "cpu online 1" ;;
        is_healthy) echo "health" ;;
        handle_event) echo "event poke" ;;
    esac
    # Until each thread has made progress: all methods were called.
    printf '%s\n' "request helix-workload check" settle "echo after $entry $way" "interfaces --json" \
        "unload scheduler-crasher"
}

# It stands by behind the one that replaced it, and fails as that one's mirror; or is asked before it rules.
crash_beside() {
    local way=$1
    printf '%s\n' "load scheduler-crasher" "swap helix.scheduler scheduler-crasher" \
        "request scheduler-crasher arm \"dequeue_mirrored $way\"" "swap helix.scheduler helix-scheduler-round-robin" \
        "request helix-workload check" settle "echo after mirror $way" "interfaces --json" "unload scheduler-crasher"
    printf '%s\n' "load scheduler-crasher" "request scheduler-crasher arm \"self_check $way\"" \
        "swap helix.scheduler scheduler-crasher" settle "echo after self_check $way" "interfaces --json" \
        "unload scheduler-crasher"
    printf '%s\n' "load scheduler-crasher" "swap helix.scheduler scheduler-crasher" \
        "request scheduler-crasher arm \"save_state $way\"" "swap helix.scheduler helix-scheduler-round-robin" \
        "request helix-workload check" settle "echo after save_state $way" "interfaces --json" "unload scheduler-crasher"
}

commands() {
    printf '%s\n' "load helix-workload" "request helix-workload start 12"
    for way in "${ways[@]}"; do
        for entry in "${entries[@]}"; do crash "$entry" "$way"; done
        crash_beside "$way"
    done
    printf '%s\n' "request helix-workload check" "history --json"
}

for arch in hosted x86_64; do
    output=$HELIX_TEST_DIRECTORY/$arch
    commands | helix_shell "$arch" --smp 2 --timeout 180 --file "$modules/scheduler-crasher.hmod" >"$output" 2>&1
    ! grep -iq panic "$output" || fail "$arch: $(grep -iA3 panic "$output")"
    for way in "${ways[@]}"; do
        for entry in "${entries[@]}" mirror self_check save_state; do
            grep -qx "after $entry $way" "$output" || fail "$arch: nothing ran on after $entry $way: $(tail -5 "$output")"
            sed -n "/^after $entry $way\$/,/^\[{/p" "$output" |
                grep -q '"name":"helix.scheduler","primary":"helix-scheduler-round-robin"' ||
                fail "$arch: after $entry $way another policy rules"
        done
    done
    expected=$((${#ways[@]} * (${#entries[@]} + 3)))
    [[ $(grep -c 'supervisor: scheduler-crasher failed: ' "$output") == "$expected" ]] ||
        fail "$arch: not each failure was reported: $(grep -c 'scheduler-crasher failed' "$output") of $expected"
    ! grep '"progressed"' "$output" | grep -qv '"progressed":12,"lost":0,"run_twice":0,"starved":0' ||
        fail "$arch: $(grep '"progressed"' "$output" | grep -v '"progressed":12,"lost":0,"run_twice":0,"starved":0')"
done

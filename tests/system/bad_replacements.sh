#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A scheduler that fails in prepare, in init, in restore, in verify or on its first calls leaves the old one serving,
# and memory as it was.
# timeout: 200
source "$HELIX_ROOT/tests/system/lib.sh"

bad=(needs-missing scheduler-fails-in-init scheduler-fails-in-restore scheduler-unhealthy scheduler-crashes
    scheduler-returns-garbage scheduler-loses-threads)
files=()
for name in "${bad[@]}"; do files+=(--file "$modules/$name.hmod"); done

commands() {
    echo "load helix-workload"
    echo "request helix-workload start 100"
    echo "request helix-workload check"
    # The first round fills the heap's magazines, so the second one starts where it ends.
    for round in 1 2; do
        for name in "${bad[@]}"; do
            echo "swap helix.scheduler $name"
            echo "sleep 400"
            echo "request helix-workload check"
            echo "interfaces --json"
        done
        echo "modules"
    done
    echo "history --json"
}

# Without other threads memory can be compared: three rounds to fill the heap's magazines, then two that must not differ.
memory_commands() {
    for round in 1 2 3 4 5; do
        for name in "${bad[@]}"; do
            echo "swap helix.scheduler $name"
            for poke in 1 2 3; do printf '%s\n' "event poke" "settle"; done
            [[ $name == scheduler-loses-threads ]] && echo "swap helix.scheduler helix-scheduler-round-robin"
            [[ $name == scheduler-loses-threads ]] && printf '%s\n' "sleep 1100" "settle" "unload $name"
        done
        echo "settle"
        ((round >= 4)) && echo "memory --json"
    done
}

for arch in hosted x86_64; do
    memory_commands | helix_shell "$arch" "${files[@]}" --timeout 60 >"$HELIX_TEST_DIRECTORY/memory-$arch" 2>&1
    [[ $(grep -c '^{"pages_total"' "$HELIX_TEST_DIRECTORY/memory-$arch") == 2 ]] || fail "$arch: no two memory reports"
    same_memory "$HELIX_TEST_DIRECTORY/memory-$arch"

    output=$HELIX_TEST_DIRECTORY/$arch
    commands | helix_shell "$arch" "${files[@]}" --timeout 100 >"$output" 2>&1
    [[ $(grep -c '"progressed":100,"lost":0,"run_twice":0,"starved":0' "$output") == 15 ]] ||
        fail "$arch: $(grep '"progressed"\|error' "$output")"
    [[ $(grep -c '"name":"helix.scheduler","primary":"helix-scheduler-round-robin"' "$output") == 14 ]] ||
        fail "$arch: another policy rules: $(grep '"primary"' "$output")"
    ! grep -q '^scheduler-\|^needs-missing' "$output" || fail "$arch: a bad module stayed: $(grep '^scheduler-' "$output")"
    for phase in '"refused","phase":"prepare"' '"refused","phase":"init"' '"rolled-back","phase":"transfer"' \
        '"refused","phase":"verify"' '"rolled-back","phase":"probation"'; do
        grep '^\[{"id"' "$output" | grep -q "\"result\":$phase" || fail "$arch: no swap ended with $phase"
    done
done

#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A scheduler that fails in prepare, in init, in restore, in verify or on its first calls leaves the old one serving,
# and memory as it was. So does a new version of a module that fails in init, in start, in restore or in verify; one
# that crashes in the first request gives its place back to the old one, which gets its state back.
# timeout: 200
source "$HELIX_ROOT/tests/system/lib.sh"

bad=(needs-missing scheduler-fails-in-init scheduler-fails-in-restore scheduler-unhealthy scheduler-crashes
    scheduler-returns-garbage scheduler-loses-threads)
files=()
for name in "${bad[@]}" counter-2; do files+=(--file "$modules/$name.hmod"); done
bad_versions=(init start restore health request)
for where in "${bad_versions[@]}"; do files+=(--file "$modules/counter-fails-in-$where.hmod"); done
# What of the counter lives in its state alone (additions), in its state and kept memory, and nowhere but in the instance.
counter_questions="request counter version; request counter get; request counter additions; request counter restored"

# replace_counter WHERE: by a version that fails there, and what is left is asked.
replace_counter() {
    echo "echo the counter to be replaced by one that fails in $1"
    echo "reload counter counter-fails-in-$1"
    [[ $1 != request ]] || printf '%s\n' "request counter get" "settle"
    echo "$counter_questions"
    # What came back is what a reload without a file takes again.
    [[ $1 != request ]] || echo "reload counter"
    echo "echo it was asked"
}

# What comes of that: the old version serves, with its state. Only who was started is stopped, and only on probation a
# new version gets as far as crashing.
after_replacing_counter() {
    echo "the counter to be replaced by one that fails in $1"
    case $1 in
        health)
            echo "counter: the counter that fails in health was stopped"
            echo "error: the new counter says that it is not healthy"
            ;;
        request)
            echo "counter: counter 2.0.0 -> counter 3.0.0, committed"
            echo "error: counter failed: invalid instruction"
            ;;
        *) echo "error: counter: $1 fails on purpose" ;;
    esac
    printf '%s\n' 2 42 2 "$2"
    [[ $1 != request ]] || echo "counter: counter 2.0.0 -> counter 2.0.0, committed"
    echo "it was asked"
}

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
    printf '%s\n' "load counter-2" "request counter add 40" "request counter add 2"
    for round in 1 2 3 4 5; do
        for name in "${bad[@]}"; do
            echo "swap helix.scheduler $name"
            for poke in 1 2 3; do printf '%s\n' "event poke" "settle"; done
            [[ $name == scheduler-loses-threads ]] && echo "swap helix.scheduler helix-scheduler-round-robin"
            [[ $name == scheduler-loses-threads ]] && printf '%s\n' "sleep 1100" "settle" "unload $name"
        done
        echo "settle"
        for where in "${bad_versions[@]}"; do replace_counter "$where"; done
        echo "settle"
        ((round >= 4)) && echo "memory --json"
    done
    echo "history --json"
}

# check_counter ARCH FILE
check_counter() {
    local round where restored=no record count result phase
    for round in 1 2 3 4 5; do
        for where in "${bad_versions[@]}"; do
            [[ $where != request ]] || restored=rollback
            after_replacing_counter "$where" $restored
            [[ $where != request ]] || restored=reload
        done
    done >"$2.expected"
    # Of the log, what the counter itself says: the supervisor speaks when it gets to it.
    sed -n '/^the counter to be replaced/,/^it was asked$/p' "$2" |
        sed 's/^\[[^]]*\] counter: /counter: /; /^\[/d; s/; pause .*//; s/\(invalid instruction\) in .*/\1/' >"$2.counter"
    diff "$2.expected" "$2.counter" || fail "$1: the counter was not what it should be"
    for record in 5:refused:init 10:rolled-back:transfer 5:rolled-back:verify 5:rolled-back:probation; do
        IFS=: read -r count result phase <<<"$record"
        [[ $(grep -o "\"to\":\"counter 3.0.0\",\"result\":\"$result\",\"phase\":\"$phase\"" "$2" | wc -l) == "$count" ]] ||
            fail "$1: no $count reloads were $result in $phase: $(tail -1 "$2")"
    done
}

for arch in hosted x86_64; do
    memory_commands | helix_shell "$arch" "${files[@]}" --timeout 60 >"$HELIX_TEST_DIRECTORY/memory-$arch" 2>&1
    [[ $(grep -c '^{"pages_total"' "$HELIX_TEST_DIRECTORY/memory-$arch") == 2 ]] || fail "$arch: no two memory reports"
    same_memory "$HELIX_TEST_DIRECTORY/memory-$arch"
    check_counter "$arch" "$HELIX_TEST_DIRECTORY/memory-$arch"

    output=$HELIX_TEST_DIRECTORY/$arch
    commands | helix_shell "$arch" "${files[@]}" --timeout 100 >"$output" 2>&1
    [[ $(grep -c '"progressed":100,"lost":0,"run_twice":0,"starved":0' "$output") == 15 ]] ||
        fail "$arch: $(grep '"progressed"\|error' "$output")"
    [[ $(grep -c '"name":"helix.scheduler","primary":"helix-scheduler-round-robin"' "$output") == 14 ]] ||
        fail "$arch: another policy rules: $(grep '"primary"' "$output")"
    ! grep -q '^scheduler-\|^needs-missing' "$output" || fail "$arch: a bad module stayed: $(grep '^scheduler-' "$output")"
    for phase in '"refused","phase":"prepare"' '"refused","phase":"init"' '"refused","phase":"transfer"' \
        '"refused","phase":"verify"' '"rolled-back","phase":"probation"'; do
        grep '^\[{"id"' "$output" | grep -q "\"result\":$phase" || fail "$arch: no swap ended with $phase"
    done
done

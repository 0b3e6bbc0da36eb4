#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A policy that fails in any of its methods or other entry points, while it rules or while it stands by, is taken out; who
# waits for it gets an error, the one before it rules, no thread is lost, and memory is what it was. In both ports, on two
# CPUs.
# timeout: 400
source "$HELIX_ROOT/tests/system/crash_lib.sh"

# statistics is asked by the kernel's audit, dequeue when a CPU leaves.
entries=(enqueue dequeue pick_next yield tick should_preempt select_cpu statistics is_healthy handle_request handle_event
    dequeue_mirrored self_check save_state block may_move set_attributes priority_changed cpu_leaves cpu_comes cpu_is_there
    dump plug_in restore_state stop destructor constructor init start)
# In which ways; elsewhere in these three. A constructor has neither a token nor handles.
elsewhere="null loop stack_overflow"
declare -A ways_in=(
    [block]="null preemption_off" [may_move]="loop creeping_overflow" [set_attributes]="null foreign_token"
    [priority_changed]="divide stack_overflow" [cpu_leaves]="ud2 stack_overflow" [cpu_comes]="null loop"
    [cpu_is_there]="noncanonical loop" [dump]="write_text abort" [plug_in]="execute_data preemption_on"
    [restore_state]="exhaust_memory double_fault" [stop]="foreign_handle loop" [destructor]="null exhaust_memory"
    [constructor]="abort stack_overflow" [init]="creeping_overflow preemption_off" [start]="divide foreign_handle"
)
happens() { [[ " ${ways_in[$1]:-$elsewhere} " == *" $2 "* ]]; }

# Who waits long gets a turn soon, so that the checks are short.
shell_profile=$HELIX_TEST_DIRECTORY/profile.toml
{
    sed 's/"scheduler-crashes"\]/"scheduler-crasher"]/' "$HELIX_ROOT/tests/system/no_restart.toml"
    printf '\n[module."%s"]\naging_ms = 10\n' helix-scheduler-round-robin scheduler-crasher
} >"$shell_profile"

# A copy of the crasher for each case in which it fails before anybody could tell it to.
files=()
mark='at first: '
offset=$(grep -obUa "$mark" "$modules/scheduler-crasher.hmod" | head -1 | cut -d: -f1)
for entry in constructor init start; do
    for way in ${ways_in[$entry]}; do
        file=$HELIX_TEST_DIRECTORY/$entry-$way.hmod
        cp "$modules/scheduler-crasher.hmod" "$file"
        printf '%s\0' "$entry $way" | dd of="$file" bs=1 seek=$((offset + ${#mark})) conv=notrunc status=none
        files+=(--file "$file")
    done
done

# What makes it fail there, once it rules and was told to.
provoke() {
    case $1 in
        dequeue | may_move | cpu_leaves) printf '%s\n' "cpu offline 1" "cpu online 1" ;;
        is_healthy) echo "health" ;;
        handle_event) echo "event poke" ;;
        # As that one's mirror, which stands by behind the one that replaced it.
        dequeue_mirrored | save_state) echo "swap helix.scheduler helix-scheduler-round-robin" ;;
        # A reservation, which nobody then has promised.
        set_attributes) echo "request helix-workload attributes \"0 0 1000 0 100000\"" ;;
        priority_changed) echo "request scheduler-crasher contend" ;;
        dump) echo "dump" ;;
        handle_request) ;;
        # The instance that was to replace it failed, so it rules on, until it fails itself.
        restore_state) printf '%s\n' "reload scheduler-crasher" "request scheduler-crasher arm \"tick $2\"" ;;
        # Its threads run, wake each other and block.
        *) echo "request scheduler-crasher wait" ;;
    esac
}

crash() {
    local entry=$1 way=$2 load="load scheduler-crasher" unload="unload scheduler-crasher"
    local rule="swap helix.scheduler scheduler-crasher" arm
    arm="request scheduler-crasher arm \"${entry/#cpu_*/cpu_changed} $way\""
    echo "echo before $entry $way"
    case $entry-$way in
        constructor-* | init-* | start-*) echo "swap helix.scheduler $entry-$way" ;;
        stop-* | destructor-*) printf '%s\n' "$load" "$arm" "$unload" ;;
        plug_in-* | self_check-* | cpu_is_there-*) printf '%s\n' "$load" "$arm" "$rule" ;;
        cpu_comes-*) printf '%s\n' "$load" "$rule" "cpu offline 1" "$arm" "cpu online 1" ;;
        *) printf '%s\n' "$load" "$rule" "$arm" && provoke "$entry" "$way" ;;
    esac
    # Until each thread has made progress: all methods were called.
    printf '%s\n' "request helix-workload check" settle "interfaces --json" "module scheduler-crasher" \
        "echo after $entry $way" "$unload"
}

# expect COUNT PATTERN: so many lines of `report`, which is about $what, match.
expect() { [[ $(grep -cE "$2" <<<"$report") == "$1" ]] || fail "$what: not $1 times /$2/: $report"; }

# check_crash ARCH ENTRY WAY FILE
check_crash() {
    local entry=$2 way=$3 what="$1: $2 $3" noted=1 left=1 report
    local failure="scheduler-crasher failed: ${causes[$way]}"
    report=$(sed -n "/^before $entry $way\$/,/^after $entry $way\$/p" "$4")
    [[ $report == *"after $entry $way" ]] || fail "$what: nothing ran on: $(tail -5 "$4")"
    case $entry in
        constructor | init | start) noted=0 left=0 && expect 1 "^error: $entry-$way.hmod: $failure" ;;
        stop) noted=0 left=0 && expect 1 "^error: scheduler-crasher was removed, but did not stop cleanly: $failure" ;;
        destructor)
            noted=0 left=0
            expect 1 '^\[.*\] supervisor: scheduler-crasher failed in its destructor$'
            expect 1 '^scheduler-crasher is unloaded$'
            ;;
        dequeue_mirrored | save_state | dequeue | may_move | cpu_leaves | cpu_comes | cpu_is_there | handle_event) ;;
        set_attributes) expect 1 '^error: the scheduler does not grant the reservation$' ;;
        dump) expect 1 '^error: no scheduler rules that has something to say$' ;;
        is_healthy) expect 1 '^scheduler-crasher  *(Running|Failed)  *unhealthy' ;;
        handle_request | plug_in | self_check | restore_state) expect 1 "^error: $failure" ;;
        # Who waits may hear of the failure, of the end of the wait, or that it failed before it could be asked.
        *) expect 1 '^error: ' ;;
    esac
    expect $noted "^\[.*\] supervisor: $failure"
    expect $left '^state  *Failed$'
    expect $left '^owns  *0 bytes in 0 blocks, 0 threads, 0 semaphores, 0 handles'
    expect $((1 - left)) '^error: no module scheduler-crasher is loaded'
    expect 1 '"name":"helix.scheduler","primary":"helix-scheduler-round-robin"'
    expect 1 '^\{"threads":12,"progressed":12,"lost":0,"run_twice":0,"starved":0'
}

# crash_everywhere WAY: under threads, which are gone afterwards.
crash_everywhere() {
    echo "request helix-workload start 12"
    for entry in "${entries[@]}"; do
        if happens "$entry" "$1"; then crash "$entry" "$1"; fi
    done
    printf '%s\n' "request helix-workload stop" settle
}

commands() {
    echo "load helix-workload"
    # The first rounds fill the heap's magazines, and empty them.
    { crash_everywhere null; crash_everywhere exhaust_memory; } | grep -v '^echo'
    for way in "${ways[@]}"; do
        crash_everywhere "$way"
        echo "memory --json"
    done
}

for arch in hosted x86_64; do
    output=$HELIX_TEST_DIRECTORY/$arch
    commands | helix_shell "$arch" --smp 2 --timeout 180 "${files[@]}" >"$output" 2>&1
    ! grep -iq panic "$output" || fail "$arch: $(grep -iA3 panic "$output")"
    for entry in "${entries[@]}"; do
        for way in "${ways[@]}"; do
            ! happens "$entry" "$way" || check_crash "$arch" "$entry" "$way" "$output"
        done
    done
    [[ $(grep -c '^{"pages_total"' "$output") == "${#ways[@]}" ]] || fail "$arch: not ${#ways[@]} memory reports"
    memory_came_back "$output" 2 4
done

#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Each way to crash, in each entry point of a module and in methods of an interface, in both ports: the caller gets an error, the rest runs on, the
# module owns nothing afterwards, and memory is what it was. A thread that loops for ever hinders nobody, and ends with
# its module.
# timeout: 700
source "$HELIX_ROOT/tests/system/crash_lib.sh"
shell_profile=$HELIX_ROOT/tests/system/no_restart.toml

entries=(request event health save restore stop destructor thread blocking bounded)

# happens ENTRY WAY: whether a test makes it so. A thread that loops is no crash; a call by handle is not looked at for the
# preemption count, and the caller is blamed.
happens() { [[ $1-$2 != thread-loop && $1-$2 != b*-preemption_* ]]; }

# One crash: arm an entry point, make the kernel enter it, look at what is left, remove the module.
crash() {
    local entry=$1 way=$2
    echo "echo before $entry $way"
    echo "load crasher"
    case $entry in
        blocking | bounded) echo "load crasher-caller" ;;
        *) echo "request crasher arm \"$entry $way\"" ;;
    esac
    case $entry in
        request) echo "request crasher ping" ;;
        event) echo "event crash" ;;
        health) echo "health" ;;
        save | restore) echo "reload crasher" ;;
        blocking | bounded) echo "request crasher-caller $entry $way" ;;
        stop | destructor) echo "unload crasher" ;;
        thread) printf '%s\n' "request crasher thread $way" "request crasher join" ;;
    esac
    echo "settle"
    echo "module crasher"
    echo "echo after $entry $way"
    [[ $entry != b* ]] || echo "unload crasher-caller"
    echo "unload crasher"
    echo "request helix-memory statistics"
    echo "settle"
    echo "memory --json"
}

# expect COUNT PATTERN: so many lines of `report`, which is about $what, match.
expect() {
    [[ $(grep -cE "$2" <<<"$report") == "$1" ]] || fail "$what: not $1 times /$2/: $report"
}

# check_crash ARCH ENTRY WAY FILE: the failure was reported once, whoever waited for it heard of it, and the module is
# Failed, unless the failure removed it or hit only the instance that was to replace it.
check_crash() {
    local entry=$2 way=$3 what="$1: $2 $3" noted=1 state=Failed report
    local failure="crasher failed: ${causes[$way]}"
    report=$(sed -n "/^before $entry $way\$/,/^after $entry $way\$/p" "$4")
    [[ $report == *"after $entry $way" ]] || fail "$what: nothing ran on: $(tail -5 "$4")"
    case $entry in
        request | save) expect 1 "^error: $failure" ;;
        # The thread may have failed before somebody could ask for its end.
        thread) expect 1 "^error: ($failure|crasher is not running)" ;;
        restore) noted=0 state=Running && expect 1 "^error: $failure" ;;
        stop)
            noted=0 state=
            expect 1 "^\[.*\] kernel: crasher was removed, but did not stop cleanly: $failure"
            expect 1 "^error: crasher was removed, but did not stop cleanly: $failure"
            expect 1 '^error: no module crasher is loaded'
            ;;
        destructor)
            noted=0 state=
            expect 1 '^\[.*\] supervisor: crasher failed in its destructor$'
            expect 1 '^crasher is unloaded$'
            expect 1 '^error: no module crasher is loaded'
            ;;
        event) ;; # nobody waits for it
        health) expect 1 '^crasher  *(Running|Failed)  *unhealthy  *0' ;;
        blocking | bounded) expect 1 "^error: the caller got: test.crashing.crash_$entry: the implementation " ;;
    esac
    expect $noted "^\[.*\] supervisor: $failure"
    [[ -z $state ]] || expect 1 "^state  *$state\$"
}

# A thread of its own that loops is no crash, for nobody waits for it.
loop_for_ever() {
    echo "load crasher"
    echo "request crasher thread loop"
    echo "sleep 100"
    echo "threads"
    echo "request crasher ping"
    echo "unload crasher"
    echo "echo after the endless thread"
    echo "threads"
    echo "settle"
    echo "memory --json"
}

commands() {
    # The first rounds fill the heap's magazines.
    { crash event null; crash thread null; crash thread exhaust_memory; loop_for_ever; } | grep -v '^memory\|helix-memory\|^echo'
    for entry in "${entries[@]}"; do
        for way in "${ways[@]}"; do
            if happens "$entry" "$way"; then crash "$entry" "$way"; fi
        done
    done
    loop_for_ever
}

for arch in hosted x86_64; do
    output=$HELIX_TEST_DIRECTORY/$arch
    # A busy host stretches the second that each endless loop gets.
    commands | helix_shell "$arch" --memory 64 --timeout 300 --file "$modules/crasher.hmod" \
        --file "$modules/crasher-caller.hmod" >"$output" 2>&1
    for entry in "${entries[@]}"; do
        for way in "${ways[@]}"; do
            ! happens "$entry" "$way" || check_crash "$arch" "$entry" "$way" "$output"
        done
    done
    ! grep -iq panic "$output" || fail "$arch: $(grep -i panic "$output")"
    # A crash in stop removes the module; all others leave it Failed, owning nothing.
    # One that was to replace another failed alone: that one runs, and hears events.
    nothing='owns 0 bytes in 0 blocks, 0 threads, 0 semaphores, 0 handles, 0 subscriptions, 0 pending requests, 0 timers, 0 interrupt lines'
    awk '/^state/ {state = $2} /^owns/ {print state ": " $0}' "$output" | sed 's/  */ /g' | sort | uniq -c >"$output.owned"
    ! grep ' Failed: ' "$output.owned" | grep -vq "$nothing" ||
        fail "$arch: a crashed module still owns something: $(<"$output.owned")"
    # Emulated it may take so long to fill the memory that the budget of the call ends first.
    [[ $arch == x86_64 || $(grep -c '^failure .*out of memory' "$output") -ge 6 ]] ||
        fail "$arch: too few ran out of memory: $(grep '^failure' "$output" | sort | uniq -c)"
    [[ $(grep -c '^ *[0-9]*  *crasher  *runnable ' "$output") == 2 ]] || fail "$arch: no thread looped"
    sed -n '/^after the endless thread/,$p' "$output" >"$output.after"
    grep -q '^ *1  *main ' "$output.after" || fail "$arch: nothing ran on after the endless thread"
    ! grep -q '^ *[0-9]*  *crasher ' "$output.after" || fail "$arch: the endless thread outlived its module"
    grep -q '^crasher is unloaded' "$output" || fail "$arch: $(grep -i unload "$output")"
    grep -qx pong "$output" || fail "$arch: the module with the endless thread did not answer"
    memory_came_back "$output"
done

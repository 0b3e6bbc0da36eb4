#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A module that keeps interrupts disabled and does not return loses its CPU to another one's watch, in each of its entry
# points, also a policy under a CPU's lock: the caller gets an error, all else runs on. In the hosted port, where nobody
# may disable interrupts, that is a fault.
# timeout: 400
source "$HELIX_ROOT/tests/system/lib.sh"
shell_profile=$HELIX_ROOT/tests/system/no_restart.toml

ways=(interrupts_off halt services_without_interrupts)
entries=(request event health save restore stop thread)

crash() {
    local entry=$1 way=$2
    echo "load crasher"
    echo "request crasher arm \"$entry $way\""
    case $entry in
        request) echo "request crasher ping" ;;
        event) echo "event crash" ;;
        health) echo "health" ;;
        save | restore) echo "reload crasher" ;;
        stop) echo "unload crasher" ;;
        thread) printf '%s\n' "request crasher thread $way" "request crasher join" ;;
    esac
    echo "settle"
    echo "echo after $entry $way"
    echo "module crasher"
    echo "unload crasher"
}

commands() {
    echo "load helix-workload"
    echo "request helix-workload start 50"
    for entry in "${entries[@]}"; do
        for way in "${ways[@]}"; do crash "$entry" "$way"; done
    done
    echo "request helix-workload check"
    echo "load scheduler-spins"
    echo "swap helix.scheduler scheduler-spins"
    echo "sleep 100"
    echo "settle"
    echo "interfaces"
    echo "request helix-workload check"
}

# check NAME SENTENCE RUN OPTION...: the failures must say SENTENCE.
check() {
    local name=$1 sentence=$2 output=$HELIX_TEST_DIRECTORY/$1
    shift 2
    commands | helix_shell "$@" --timeout 120 --file "$modules/crasher.hmod" --file "$modules/scheduler-spins.hmod" \
        >"$output" 2>&1
    for entry in "${entries[@]}"; do
        for way in "${ways[@]}"; do
            grep -qx "after $entry $way" "$output" || fail "$name: nothing ran on after $entry $way: $(tail -5 "$output")"
        done
    done
    ! grep -iq panic "$output" || fail "$name: $(grep -i panic "$output")"
    # Each failure is in the log or where it was waited for.
    local unreported
    unreported=$(awk -v sentence="crasher failed: $sentence" '
        index($0, sentence) { reported = 1 }
        /^after / { if (!reported) print; reported = 0 }' "$output")
    [[ -z $unreported ]] || fail "$name: no failure was reported before: $unreported: $(grep failed: "$output")"
    grep -q "scheduler-spins failed: $sentence" "$output" || fail "$name: $(grep scheduler-spins "$output")"
    grep -q 'helix-scheduler-round-robin rules helix.scheduler again' "$output" || fail "$name: no policy came back"
    [[ $(grep -c '"progressed":50,"lost":0,"run_twice":0,"starved":0' "$output") == 2 ]] ||
        fail "$name: the workload did not go on: $(grep progressed "$output")"
}

check hosted 'general protection fault' hosted --smp 2
for cpus in 2 4; do
    check "$cpus" 'it kept interrupts disabled' x86_64 --smp "$cpus"
    # Where it was the module's own code, the sentence names it.
    grep -q 'crasher failed: it kept interrupts disabled in .*Crasher.*+0x' "$HELIX_TEST_DIRECTORY/$cpus" ||
        fail "no instruction is named: $(grep 'kept interrupts' "$HELIX_TEST_DIRECTORY/$cpus")"
done

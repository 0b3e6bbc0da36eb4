#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Each way to crash, in each entry point of a module, in both ports: the caller gets an error, the rest runs on, the
# module owns nothing afterwards, and memory is what it was.
# timeout: 400
source "$HELIX_ROOT/tests/system/lib.sh"

ways=(null divide ud2 noncanonical write_text execute_data loop stack_overflow abort exhaust_memory)
entries=(request event health save restore stop thread)

# One crash: arm an entry point, make the kernel enter it, look at what is left, remove the module.
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
        thread) echo "request crasher thread $way" ;;
    esac
    echo "sleep 30"
    echo "echo after $entry $way"
    echo "module crasher"
    echo "unload crasher"
    echo "request helix-memory statistics"
    echo "sleep 1"
    echo "memory --json"
}

commands() {
    echo "load crasher"
    echo "unload crasher"
    for entry in "${entries[@]}"; do
        for way in "${ways[@]}"; do
            # A thread that loops or allocates for ever is no crash: nobody waits for it. Memory is exhausted once.
            [[ $entry == thread && $way == loop ]] && continue
            [[ $entry != request && $way == exhaust_memory ]] && continue
            crash "$entry" "$way"
        done
    done
}

for arch in hosted x86_64; do
    output=$HELIX_TEST_DIRECTORY/$arch
    commands | helix_shell "$arch" --memory 64 --timeout 180 --file "$modules/crasher.hmod" >"$output" 2>&1
    for entry in "${entries[@]}"; do
        for way in "${ways[@]}"; do
            [[ $entry == thread && $way == loop ]] && continue
            [[ $entry != request && $way == exhaust_memory ]] && continue
            grep -qx "after $entry $way" "$output" || fail "$arch: nothing ran on after $entry $way: $(tail -5 "$output")"
        done
    done
    ! grep -iq panic "$output" || fail "$arch: $(grep -i panic "$output")"
    # A crash in stop removes the module; all others leave it Failed, owning nothing.
    ! grep '^owns' "$output" | grep -vq 'owns  *0 bytes in 0 blocks, 0 threads, 0 semaphores, 0 handles' ||
        fail "$arch: a crashed module still owns something: $(grep '^owns' "$output" | sort | uniq -c)"
    [[ $(grep -c 'crasher failed: ' "$output") -ge 60 ]] || fail "$arch: too few failures were reported"
    same_memory "$output"
done

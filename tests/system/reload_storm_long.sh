#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A module is reloaded a hundred thousand times, hosted, and a thousand times in the emulator with 4 CPUs, while four
# threads of another call it without pause: no call fails, is lost or made twice, and each reload is one more generation.
# HELIX_RELOADS and HELIX_GUEST_RELOADS say how often. A few are in system/calls_during_reload.
# long
# timeout: 7200
source "$HELIX_ROOT/tests/system/lib.sh"

# commands RELOADS
commands() {
    printf 'load waiter-1\nload waiter-caller\nrequest waiter-caller count 4\n'
    for ((i = 0; i < $1; i += 2)); do printf 'reload waiter waiter-2\nreload waiter waiter-1\n'; done
    printf 'request waiter-caller counted\nmodule waiter --json\n'
}

for arch in hosted x86_64; do
    output=$HELIX_TEST_DIRECTORY/$arch
    reloads=${HELIX_RELOADS:-100000}
    cpus=2
    [[ $arch == hosted ]] || { reloads=${HELIX_GUEST_RELOADS:-1000} cpus=4; }
    commands "$reloads" | helix_shell $arch --smp $cpus --file "$modules/waiter-1.hmod" --file "$modules/waiter-2.hmod" \
        --file "$modules/waiter-caller.hmod" --timeout 3500 >"$output" 2>&1
    [[ $(grep -c "^waiter: waiter .*, committed" "$output") == "$reloads" ]] ||
        fail "$arch: $(grep -v ", committed" "$output" | head -20)"
    grep -q "^[1-9][0-9]* calls, 0 failed, none lost$" "$output" || fail "$arch: $(tail -3 "$output")"
    grep -q "\"generation\":$((reloads + 1))[,}]" "$output" || fail "$arch: $(tail -1 "$output")"
    echo "$arch: $reloads reloads, $(grep "calls, 0 failed" "$output")"
done

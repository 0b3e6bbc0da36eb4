#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Tab completes the words of a command by what they may name there: interfaces, then those who implement that one and
# files; what a CPU may do, then the CPUs that can; files, modules, options, events.
source "$HELIX_ROOT/tests/system/lib.sh"

output=$HELIX_TEST_DIRECTORY/output
# A word that is completed as far as it goes becomes part of the echo; two Tabs list what else there is.
{
    printf 'load listener; cpu offline 2\n'
    printf 'swap helix.s\t\t\025'
    printf 'swap helix.allocator helix-allocator-b\t\025'
    printf 'swap helix.scheduler helix-scheduler-fair --ca\t\025'
    printf 'swap helix.scheduler helix-scheduler-fair --canary \t\t\025'
    printf 'cpu o\t\t\025'
    printf 'cpu onl\t\t\025'
    printf 'cpu off\t\t\025'
    printf 'event no\t\025'
    printf 'config helix-scheduler-r\ttime\t\025'
    printf 'unload lis\t\025'
    printf 'load lis\t\025'
    printf 'help sw\t\025'
    printf 'reload listener lis\t\025'
} | "$HELIX" run demo --arch hosted -q --smp 4 --append interactive=1 --file "$modules/listener.hmod" >"$output" 2>&1 ||
    fail "$(cat "$output")"
# What the terminal shows, without what moves the cursor or clears the line.
sed -i 's/\x1b\[[0-9]*[A-Z]//g; s/\a//g' "$output"

shown() { tr '\r' '\n' <"$output" | grep -qF -- "$1" || fail "\"$1\" is not shown: $(cat "$output")"; }
shown 'swap helix.scheduler '
listed=$(sed -n '/swap helix.scheduler/,/cpu o/p' "$output")
grep -q 'helix-scheduler-priority.hmod ' <<<"$listed" || fail "no file is offered: $listed"
! grep -q 'helix-memory  \|helix-allocator-slab  ' <<<"$listed" || fail "no implementor is offered: $listed"
shown 'swap helix.allocator helix-allocator-bump'
shown 'swap helix.scheduler helix-scheduler-fair --canary '
grep -qx '0  1  3  ' "$output" || fail "not the CPUs that one may rule first: $(cat "$output")"
grep -qx 'offline  online  ' "$output" || fail "not what a CPU may do: $(cat "$output")"
shown 'cpu online 2 '
grep -qx '1  3  ' "$output" || fail "not the CPUs that can go: $(cat "$output")"
shown 'event note '
shown 'config helix-scheduler-round-robin time_slice_ms '
shown 'unload listener '
shown 'load listener.hmod '
shown 'help swap '
shown 'reload listener listener.hmod '

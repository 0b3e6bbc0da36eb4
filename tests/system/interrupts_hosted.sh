#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# In the hosted port a line is a real-time signal to the process. What comes while a module is being replaced reaches
# the winner once, be that the new instance or the old one; what comes before the line is enabled again is one. The line
# stays its place's through a crash, and whoever has it next hears of what came in between.
# timeout: 200
source "$HELIX_ROOT/tests/system/lib.sh"

output=$HELIX_TEST_DIRECTORY/output
mkfifo "$output.in" "$output.out"
for version in 1 2 3; do files+=(--file "$modules/doorbell-$version.hmod"); done
"$HELIX" run "$HELIX_ROOT/tests/system/long_probation.toml" --arch hosted -q --smp 2 --timeout 100 "${files[@]}" <"$output.in" >"$output.out" 2>&1 &
tool=$!
exec 3>"$output.in" 4<"$output.out"
type_in() { printf '%s\n' "$@" >&3; }
# await TEXT: reads the shell's output up to a line with TEXT.
await() {
    local text
    while IFS= read -r -u 4 text; do
        printf '%s\n' "$text" >>"$output"
        [[ $text == *"$1"* ]] && return
    done
    fail "no line \"$1\" came: $(tail -8 "$output")"
}
ring() { kill -s "RTMIN+$1" "$kernel"; }

type_in 'load doorbell-1' 'request doorbell claim 1' 'request doorbell claim 99' 'request doorbell claim 5'
await 'line 1 belongs to'
await 'there are lines 0 to'
type_in 'load doorbell-1 as another' 'request another claim 5' 'echo claimed'
await 'line 5 belongs to doorbell'
await claimed
kernel=$(pgrep -P "$tool" | head -1)
[[ -n $kernel ]] || fail "no process runs the kernel"

ring 5
type_in 'request doorbell reach 1' 'echo one'
await one
# In a hold: the first waits for the winner, those after it for the line to be enabled.
type_in 'request doorbell linger 300000000' 'reload doorbell doorbell-2'
await saving
ring 5
ring 5
ring 5
await committed
type_in 'request doorbell reach 3' 'request doorbell total' 'echo three'
await 3
await three
# In one that is undone.
type_in 'request doorbell linger 300000000' 'reload doorbell doorbell-3'
await saving
ring 5
await 'start fails on purpose'
type_in 'request doorbell reach 4' 'request doorbell total' 'echo four'
await 4
await four
# While nobody holds it.
type_in 'unload doorbell' 'load doorbell-1' 'request doorbell claim 6' 'request doorbell crash' 'settle' 'echo again'
await again
ring 6
type_in 'request another claim 6' 'request doorbell claim 6' 'request doorbell reach 1' 'echo heard'
await 'line 6 belongs to doorbell'
await heard
type_in 'unload doorbell' 'request another claim 6' 'echo passed on'
await 'passed on'
ring 6
type_in 'request another reach 1' 'unload another' 'poweroff'
exec 3>&-
cat <&4 >>"$output"
wait "$tool" || true
! grep -q 'leaked\|[Pp]anic' "$output" || fail "$(cat "$output")"
grep -q '^another is unloaded' "$output" || fail "the kernel did not end as told: $(tail -8 "$output")"

#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# `top` shows what uses the CPUs, again and again until a key is pressed, and once where nobody presses one. On a
# terminal that cannot be written over it writes nothing but lines.
# timeout: 200
source "$HELIX_ROOT/tests/system/lib.sh"

type_in() { printf "$1" >&3; }
# await PATTERN: reads the shell's output up to a line that fits.
await() {
    local text
    while IFS= read -r -u 4 text; do
        printf '%s\n' "$text" >>"$output"
        [[ $text =~ $1 ]] && return
    done
    fail "$name: no line \"$1\" came: $(tail -8 "$output")"
}

# Under replay the clock is a matter of the seed: one thread computes all the time, which is all of the one CPU.
values=$HELIX_TEST_DIRECTORY/values
printf '%s\n' 'top 50 --json' 'load helix-workload' 'request helix-workload start 20' 'top 50 --json' 'top 50' 'top 50 --once' 'top 0' |
    helix_shell hosted --replay 3 >"$values"
idle=$(sed -n 1p "$values")
busy=$(sed -n '/^{"interval_ns"/p' "$values" | sed -n 2p)
[[ $idle =~ ^\{\"interval_ns\":[0-9]+,\"cpus\":\[\{\"id\":0,\"online\":true,\"busy_permille\":([0-9]+),\"switches\":[0-9]+\}\],\"threads\":\[ ]] ||
    fail "no value of top: $(cat "$values")"
((BASH_REMATCH[1] < 500)) || fail "the CPU was busy with nothing: $idle"
[[ $busy =~ \"busy_permille\":([0-9]+) ]] && ((BASH_REMATCH[1] > 900)) || fail "the CPU was idle under load: $busy"
# Shares add up to what the CPU was busy with, rounded down one by one, twenty of all threads.
sum=0
previous=1000
for share in $(grep -oE '"share_permille":[0-9]+' <<<"$busy" | cut -d: -f2); do
    ((share <= previous)) || fail "not in the order of shares: $busy"
    previous=$share
    ((sum += share)) || true
done
((sum > 700 && sum <= 1000)) || fail "the shares add up to $sum: $busy"
[[ $(grep -o '"used_ns"' <<<"$busy" | wc -l) == 20 ]] || fail "not twenty threads: $busy"
[[ $(grep -c '^ *SHARE  ' "$values") == 2 ]] || fail "not two views: $(cat "$values")"
grep -qE '^up [0-9].*: [0-9]+ threads, in the last [0-9]' "$values" || fail "no summary: $(cat "$values")"
grep -qE '^ *0  yes +[0-9]+\.[0-9] % +[0-9]+$' "$values" || fail "no CPU: $(cat "$values")"
grep -qx 'error: top looks again after a millisecond at least' "$values" || fail "0 ms were accepted: $(cat "$values")"

for cursor in 1 0; do
    name="cursor=$cursor"
    output=$HELIX_TEST_DIRECTORY/output.$cursor
    append="interactive=1"
    [[ $cursor == 1 ]] || append+=" cursor=0"
    mkfifo "$output.in" "$output.out"
    "$HELIX" run demo --arch hosted --smp 6 -q --timeout 100 --append "$append" <"$output.in" >"$output.out" 2>&1 &
    exec 3>"$output.in" 4<"$output.out"
    type_in 'top 20\n'
    for view in 1 2 3; do
        await '^(.*\[J)?up .* threads, '
        await '^CPU '
        await '^ *0  yes '
        await '^ *5  yes '
        await '^ *SHARE '
    done
    type_in 'q'
    type_in 'echo and on\n'
    await '^and on'
    type_in 'top 20 --once\n'
    await '^ *SHARE '
    type_in 'top; echo not this\n'
    await '^ *SHARE '
    type_in '\003'
    await '^interrupted'
    type_in 'poweroff\n'
    exec 3>&-
    cat <&4 >>"$output"
    status=0
    wait $! || status=$?
    ((status == 0)) || fail "$name: ended with $status: $(cat "$output")"
    views=$(grep -c $'\e\\[H\e\\[Jup ' "$output") || true
    ((cursor == 1 ? views >= 3 : views == 0)) || fail "$name: $views views were written over others"
    ! grep -qx 'not this' "$output" || fail "$name: the line went on: $(cat "$output")"
done

#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Slow modules that are ended for it again and again, replaced, and restarted while 205 events are handed out, on one to
# four CPUs in drawn interleavings: what each of them heard and what it missed are 205, and a quick one heard them all.
# timeout: 200
source "$HELIX_ROOT/tests/system/lib.sh"
shell_profile=$HELIX_ROOT/tests/system/events_counted.toml

# The first of many notes keeps both until the listener has heard them all, or their call_limit ends them.
commands=("load laggard" "load laggard-2" "load listener" "load listener as sender"
    "request sender send 60" "request sender pace 5" "reload laggard" "request sender send 100" "sleep 300"
    "request sender send 40" "sleep 3000" settle "request laggard heard" "request laggard-2 heard" "request listener heard"
    "metrics --json")
seed=$((${HELIX_SEED:-$SRANDOM} % 1000000))
for ((run = 0; run < 12; ++run, ++seed)); do
    output=$HELIX_TEST_DIRECTORY/$seed
    repeat="seed $seed, repeat it with: HELIX_SEED=$seed ./helix test system/events_counted"
    printf '%s\n' "${commands[@]}" | helix_shell hosted --smp $((seed % 4 + 1)) --replay "$seed" >"$output" 2>&1
    mapfile -t heard < <(grep -o '"notes":[0-9]*' "$output" | grep -o '[0-9]*')
    ((${#heard[@]} == 3)) || fail "$repeat: $(tail -5 "$output")"
    for i in 0 1 2; do
        name=(laggard laggard-2 listener)
        missed=$(grep -o "\"name\":\"${name[i]}\",[^}]*\"missed\":[0-9]*" "$output" | grep -o '[0-9]*$')
        ((heard[i] + missed == 205)) || fail "$repeat: ${name[i]} heard ${heard[i]} of 205 and missed $missed: $(<"$output")"
    done
    ((heard[2] == 205)) || fail "$repeat: a quick module missed some: $(<"$output")"
    grep -q 'laggard-2 failed: it kept a call waiting' "$output" || fail "$repeat: nobody was ended: $(<"$output")"
done

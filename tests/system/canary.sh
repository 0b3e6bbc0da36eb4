#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# In both ports a scheduler rules one CPU first, and then all of them. One that breaks a rule there, whichever, loses that
# CPU to the one that rules the others, with its threads; the report names the rule and the thread. It is asked whom to
# pick on that CPU alone. What cannot be is refused, and leaves nothing behind.
# timeout: 500
source "$HELIX_ROOT/tests/system/lib.sh"
source "$HELIX_ROOT/tests/system/rule_breakers_lib.sh"

shell_profile=$HELIX_ROOT/tests/system/canary.toml
# Who was forgotten may have gone on where the other policy rules.
rules[migration]='lost|no-pick|fault|statistics'
# Of what it does when it is asked whom to pick.
declare -A at_picks=([never]=1 [foreign]=1 [running]=1 [blocked]=1 [elsewhere]=1 [spins]=1)
good=(helix-scheduler-fair helix-scheduler-priority helix-scheduler-deadline helix-scheduler-cooperative)
crashing=(scheduler-crashes scheduler-returns-garbage scheduler-spins)

commands() {
    printf '%s\n' "load helix-workload" "request helix-workload start 16"
    for policy in "${good[@]}"; do
        printf '%s\n' "swap helix.scheduler $policy --canary 1 300ms" "interfaces --json" "request helix-workload check" \
            "sleep 5" settle "swap helix.scheduler helix-scheduler-round-robin --canary 0 100ms" "sleep 5" settle "unload $policy"
    done
    echo "echo bad ones"
    for way in "${ways[@]}"; do
        printf '%s\n' "load $breaker" "request $breaker arm $way" "swap helix.scheduler $breaker --canary 1 80" settle \
            "request helix-workload check" "echo log of $way" "log 256" "echo after $way" "interfaces --json" "unload $breaker"
    done
    # The first round fills the heap's magazines, so the second one starts where it ends.
    printf '%s\n' "request helix-workload stop" "request helix-workload start_equals 8" "echo bad files"
    for round in 1 2; do
        for policy in "${crashing[@]}" scheduler-fails-in-restore scheduler-unhealthy; do
            printf '%s\n' "swap helix.scheduler $policy --canary 1 80"
        done
        printf '%s\n' settle "memory --json"
    done
    printf '%s\n' "cpu offline 1" "echo refused" "swap helix.scheduler $breaker --canary 1" "cpu online 1" \
        "swap helix.scheduler $breaker --canary 2" "swap helix.scheduler $breaker --canary" \
        "swap helix.scheduler $breaker --canary 1 soon" "swap helix.scheduler $breaker 3" \
        "swap helix.scheduler $breaker --canary 1 --shadow 1" "swap helix.scheduler nobody --canary 1" \
        "swap helix.scheduler helix-scheduler-round-robin --canary 1" "swap helix.scheduler helix-workload --canary 1" \
        "swap helix.allocator helix-allocator-bump --canary 1" "interfaces --json" "history --json"
}

check() {
    local arch=$1 output=$2 policy way found record
    ! grep -iq panic "$output" || fail "$arch: $(grep -iA3 panic "$output")"
    for policy in "${good[@]}"; do
        grep -q "^helix.scheduler: helix-scheduler-round-robin 1.0.0 -> $policy 1.0.0, committed; pause" "$output" &&
            grep -q "^helix.scheduler: $policy 1.0.0 -> helix-scheduler-round-robin 1.0.0, committed; pause" "$output" ||
            fail "$arch: $policy did not come to rule: $(grep '^error' "$output")"
    done
    found=$(grep -c '"progressed":16,"lost":0,"run_twice":0,"starved":0' "$output" || true)
    ((found == ${#good[@]} + ${#ways[@]})) || fail "$arch: $found checks were good: $(grep '"progressed"\|^error' "$output")"
    for way in "${ways[@]}"; do
        grep -q '"name":"helix.scheduler","primary":"helix-scheduler-round-robin"' \
            <<<"$(sed -n "/^after $way\$/,/^\[{/p" "$output")" ||
            fail "$arch: after $way another policy rules: $(grep -A3 "^after $way\$" "$output")"
    done
    sed -n '/^bad ones$/,/^bad files$/p' "$output" | grep '^error: ' >"$output.errors" || true
    [[ $(wc -l <"$output.errors") == "${#ways[@]}" ]] || fail "$arch: not ${#ways[@]} bad ones: $(cat "$output.errors")"
    ! grep -v "^error: $breaker failed: .*; CPU 1 went back\$" "$output.errors" ||
        fail "$arch: an error does not say who failed, and that it went back"
    # One record for each, which says what was broken and how long it took to put the other back.
    grep '^\[{"id"' "$output" | sed 's/},{"id"/}\n{"id"/g' | grep "\"to\":\"$breaker 1.0.0\"" |
        grep '"from":"helix-scheduler-round-robin 1.0.0".*"result":"rolled-back","phase":"canary"' >"$output.records" || true
    [[ $(wc -l <"$output.records") == "${#ways[@]}" ]] || fail "$arch: history: $(cat "$output.records")"
    for way in "${ways[@]}"; do
        read -r record
        ! is_of_its_own_books "$way" "$record" || continue
        [[ $record =~ \"rule\":\"(${rules[$way]})\",\"thread\":([0-9]+),.*\"function\":\"[^\"].*\"evict_ns\":[1-9] ]] ||
            fail "$arch: $way was found out otherwise: $record"
        names_the_wronged "$way" "$output" "${BASH_REMATCH[2]}" ||
            fail "$arch: $way: another thread is named, the policy says: $(said_of "$way" "$output"): $record"
        [[ -z ${at_picks[$way]:-} ]] || [[ -n $(said_of "$way" "$output") && -z $(said_of "$way" "$output" | grep -v ' on CPU 1$') ]] ||
            fail "$arch: $way: it ruled another CPU than 1: $(said_of "$way" "$output")"
    done <"$output.records"
    sed -n '/^bad files$/,/^refused$/p' "$output" | grep '^error: ' >"$output.errors" || true
    for policy in "${crashing[@]}"; do
        found=$(grep -c "$policy failed: .*; CPU 1 went back" "$output.errors" || true)
        ((found == 2)) || fail "$arch: $policy: $(cat "$output.errors")"
    done
    grep -q 'scheduler-fails-in-restore: restore fails on purpose' "$output.errors" &&
        grep -q 'scheduler-unhealthy .*not healthy' "$output.errors" &&
        [[ $(wc -l <"$output.errors") == 10 ]] || fail "$arch: $(cat "$output.errors")"
    same_memory "$output"
    sed -n '/^refused$/,$p' "$output" | grep '^error: ' >"$output.errors" || true
    diff - "$output.errors" <<END || fail "$arch: other refusals"
error: CPU 1 is not online
error: "2" is not a CPU (a number, 0 to 1)
error: swap needs more arguments; usage: swap INTERFACE NAME [--shadow SECONDS | --canary CPU [SECONDS]]
error: "soon" is no time from 1ns to 86400 seconds
error: a third word is the time of a canary: --canary CPU [SECONDS]
error: swap takes one of --shadow --canary at a time
error: no module and no file nobody
error: helix-scheduler-round-robin rules helix.scheduler already
error: helix-workload does not implement helix.scheduler
error: only a scheduler can rule one CPU first
END
    grep -q '"name":"helix.scheduler","primary":"helix-scheduler-round-robin","implementors":\["helix-scheduler-round-robin"\]' \
        <<<"$(sed -n '/^refused$/,$p' "$output")" ||
        fail "$arch: something stayed: $(grep '"primary"' "$output" | tail -1)"
}

for arch in ${HELIX_ARCH:-hosted x86_64}; do
    commands | helix_shell "$arch" --smp 2 --timeout 220 >"$HELIX_TEST_DIRECTORY/$arch" 2>&1
    check "$arch" "$HELIX_TEST_DIRECTORY/$arch"
done

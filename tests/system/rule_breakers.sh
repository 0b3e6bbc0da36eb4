#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A policy that breaks a rule, whichever, is taken out, and the one before it put back with its threads: on probation,
# and, hosted, when it has ruled for long. The report names the rule, a thread, the function and the line. On two CPUs.
# timeout: 400
source "$HELIX_ROOT/tests/system/lib.sh"

# How it breaks a rule, which may be found out (the queues of a CPU may run empty before a count is looked at, and
# another CPU may go on before the answer is), and in which function.
ways=(never foreign running blocked elsewhere forgets hides starves counts migration area tick spins)
declare -A rules=([never]=no-pick [foreign]=foreign [running]='running|blocked|elsewhere' [blocked]=blocked
    [elsewhere]='elsewhere|running|blocked' [forgets]='lost|no-pick' [hides]='no-pick|starved' [starves]=starved
    [counts]=statistics [migration]='lost|no-pick' [area]='fault|lost|statistics' [tick]=fault [spins]=budget)
methods='(enqueue|pick_next|yield|tick|statistics|holds|remove|insert|highest|longest_waiting|first)'
# Of those that the kernel finds out: what should have been otherwise.
declare -A blamed=([lost]='enqueue|pick_next' [starved]=pick_next [statistics]=statistics [no-pick]='pick_next|yield'
    [foreign]='pick_next|yield' [running]='pick_next|yield' [blocked]='pick_next|yield' [elsewhere]='pick_next|yield')
breaker=scheduler-rule-breaker

break_rule() {
    local way=$1
    printf '%s\n' "load $breaker" "swap helix.scheduler $breaker"
    # Long after: the probation of a millisecond is over, and nobody stands by.
    [[ $2 != long_after ]] || printf '%s\n' "sleep 5" settle
    # Returns when it was found out.
    printf '%s\n' "request $breaker break $way"
    # All who wait there have to move.
    [[ $way != migration ]] || printf '%s\n' "cpu offline 1" "cpu online 1"
    printf '%s\n' settle "request helix-workload check" "echo after $way" "interfaces --json" "unload $breaker"
}
commands() {
    # Not the first of those that could rule, but the one that did.
    printf '%s\n' "load helix-scheduler-fair" "swap helix.scheduler helix-scheduler-fair" "load helix-workload" \
        "request helix-workload start 12"
    for way in "${ways[@]}"; do break_rule "$way" "$1"; done
    printf '%s\n' "history --json"
}

# check NAME OUTPUT: all is as it should be.
check() {
    local name=$1 output=$2 way record rule
    local -a found
    ! grep -iq panic "$output" || fail "$name: $(grep -iA3 panic "$output")"
    for way in "${ways[@]}"; do
        grep -qx "after $way" "$output" || fail "$name: nothing ran on after $way: $(tail -5 "$output")"
        sed -n "/^after $way\$/,/^\[{/p" "$output" |
            grep -q '"name":"helix.scheduler","primary":"helix-scheduler-fair"' ||
            fail "$name: after $way another policy rules: $(grep -A3 "^after $way\$" "$output")"
    done
    ! grep '"progressed"' "$output" | grep -qv '"progressed":12,"lost":0,"run_twice":0,"starved":0' ||
        fail "$name: $(grep '"progressed"' "$output")"
    grep '^\[{"id"' "$output" | sed 's/},{"id"/}\n{"id"/g' | grep '"rule":"[a-z-]' >"$output.records" || true
    [[ $(wc -l <"$output.records") == "${#ways[@]}" ]] ||
        fail "$name: $(wc -l <"$output.records") of ${#ways[@]} failures are in the history: $(cat "$output.records")"
    for way in "${ways[@]}"; do
        read -r record
        ! is_of_its_own_books "$way" "$record" || continue
        [[ $record =~ \"rule\":\"(${rules[$way]})\",\"thread\":([0-9]+),\"thread_name\":\"([^\"]*)\",\"function\":\"([^\"]*)\",\"source\":\"([^\"]*)\" ]] ||
            fail "$name: $way was found out otherwise: $record"
        found=("${BASH_REMATCH[@]}")
        [[ ${found[4]} =~ ^(SchedulerRuleBreaker|.*Policy|.*RunQueues)::$methods$ ]] || fail "$name: $way: no function: $record"
        [[ ${found[5]} =~ ^[a-z_]+\.[ch]pp:[1-9][0-9]*$ ]] || fail "$name: $way: no line: $record"
        rule=${found[1]}
        [[ -z ${blamed[$rule]:-} || ${found[4]##*::} =~ ^(${blamed[$rule]})$ ]] ||
            fail "$name: $way is blamed on another function: $record"
        case $rule in
            lost | no-pick | starved | running | blocked | elsewhere)
                [[ ${found[3]} == @(workload-*|health|events) || $rule == no-pick ]] || fail "$name: $way: no thread: $record"
                ;;
        esac
    done <"$output.records"
}

for arch in hosted x86_64; do
    for when in on_probation long_after; do
        [[ $arch-$when != x86_64-long_after ]] || continue
        [[ $when == on_probation ]] && shell_profile=$HELIX_TEST_DIRECTORY/on_probation.toml ||
            shell_profile=$HELIX_ROOT/tests/system/rule_breakers.toml
        sed 's/probation = "1ms"/probation = "60s"/' "$HELIX_ROOT/tests/system/rule_breakers.toml" \
            >"$HELIX_TEST_DIRECTORY/on_probation.toml"
        output=$HELIX_TEST_DIRECTORY/$arch-$when
        commands "$when" | helix_shell "$arch" --smp 2 --timeout 150 >"$output" 2>&1
        check "$arch, $when" "$output"
    done
done

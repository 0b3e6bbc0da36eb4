# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Sourced by the tests of scheduler-rule-breaker, after lib.sh: its ways, what is to be found out of each, and looking at
# what the history says.

breaker=scheduler-rule-breaker
# How it breaks a rule, which may be found out (the queues of a CPU may run empty before a count is looked at, and
# another CPU may go on before the answer is), and in which function.
ways=(never foreign running blocked elsewhere forgets hides admits starves counts migration area tick spins)
declare -A rules=([never]=no-pick [foreign]=foreign [running]='running|blocked|elsewhere' [blocked]=blocked
    [elsewhere]='elsewhere|running|blocked' [forgets]='lost|no-pick' [hides]='lost|no-pick' [admits]='lost|no-pick' [starves]=starved
    [counts]=statistics [migration]='lost|no-pick' [area]='fault|lost|statistics' [tick]=fault [spins]=budget)
methods='(enqueue|pick_next|yield|tick|statistics|holds|remove|insert|highest|longest_waiting|first)'
# Of those that the kernel finds out: what should have been otherwise.
declare -A blamed=([lost]='enqueue|pick_next' [starved]=pick_next [statistics]=statistics [no-pick]='pick_next|yield'
    [foreign]='pick_next|yield' [running]='pick_next|yield' [blocked]='pick_next|yield' [elsewhere]='pick_next|yield')

# said_of WAY OUTPUT: what the policy said when it last broke that rule: lines "thread N on CPU C", or "no thread on CPU
# C". The output has the log between lines "log of WAY" and "after WAY".
said_of() {
    sed -n "/^log of $1\$/,/^after $1\$/p" "$2" | tac | sed -n "/ $breaker: begins: $1\$/q; s/.* $breaker: wrongs //p" | tac
}

# names_the_wronged WAY OUTPUT THREAD: whether that is one of those whom it says it wronged; of those who are kept from
# running one after the other it is the last. Where it ran on nobody's behalf any thread is right, and where it does not
# know whom it harms, or harmed so many that the log has lost the first.
names_the_wronged() {
    local said
    said=$(said_of "$1" "$2")
    case $1 in
        counts | area | migration) return 0 ;;
        forgets | hides | admits | starves) said=$(tail -1 <<<"$said") ;;
        foreign | tick | spins) ! grep -q '^no thread ' <<<"$said" || return 0 ;;
    esac
    grep -q "^thread $3 on CPU " <<<"$said"
}

# check_record WAY RECORD OUTPUT NAME: the record of the history says what was broken, by which thread and where.
check_record() {
    local way=$1 record=$2 output=$3 name=$4 rule
    local -a found
    ! is_of_its_own_books "$way" "$record" || return 0
    [[ $record =~ \"rule\":\"(${rules[$way]})\",\"thread\":([0-9]+),\"thread_name\":\"([^\"]*)\",\"function\":\"([^\"]*)\",\"source\":\"([^\"]*)\" ]] ||
        fail "$name: $way was found out otherwise: $record"
    found=("${BASH_REMATCH[@]}")
    [[ ${found[4]} =~ ^(SchedulerRuleBreaker|.*Policy|.*RunQueues)::$methods$ ]] || fail "$name: $way: no function: $record"
    [[ ${found[5]} =~ ^[a-z_]+\.[ch]pp:[1-9][0-9]*$ ]] || fail "$name: $way: no line: $record"
    rule=${found[1]}
    [[ -z ${blamed[$rule]:-} || ${found[4]##*::} =~ ^(${blamed[$rule]})$ ]] ||
        fail "$name: $way is blamed on another function: $record"
    names_the_wronged "$way" "$output" "${found[2]}" ||
        fail "$name: $way: thread ${found[2]} is named, the policy says: $(said_of "$way" "$output"): $record"
}

# The history in OUTPUT, a record a line.
records_of() { grep '^\[{"id"' "$1" | sed 's/},{"id"/}\n{"id"/g'; }

# break_rule WAY WHEN: on_probation, or long_after.
break_rule() {
    local way=$1
    printf '%s\n' "load $breaker" "swap helix.scheduler $breaker"
    # Long after: the probation of a millisecond is over, and nobody stands by.
    [[ $2 != long_after ]] || printf '%s\n' "sleep 5" settle
    # Returns when it was found out.
    printf '%s\n' "request $breaker break $way"
    # All who wait there have to move.
    [[ $way != migration ]] || printf '%s\n' "cpu offline 1" "cpu online 1"
    printf '%s\n' settle "request helix-workload check" "echo log of $way" "log 256" "echo after $way" "interfaces --json" \
        "unload $breaker"
}

# break_all_rules WHEN THREADS
break_all_rules() {
    # Not the first of those that could rule, but the one that did.
    printf '%s\n' "load helix-scheduler-fair" "swap helix.scheduler helix-scheduler-fair" "load helix-workload" \
        "request helix-workload start $2"
    for way in "${ways[@]}"; do break_rule "$way" "$1"; done
    printf '%s\n' "history --json"
}

# check_all_rules NAME OUTPUT THREADS: each was found out, in this order, and the policy before rules again.
check_all_rules() {
    local name=$1 output=$2 threads=$3 way record
    ! grep -iq panic "$output" || fail "$name: $(grep -iA3 panic "$output")"
    for way in "${ways[@]}"; do
        grep -qx "after $way" "$output" || fail "$name: nothing ran on after $way: $(tail -5 "$output")"
        sed -n "/^after $way\$/,/^\[{/p" "$output" |
            grep -q '"name":"helix.scheduler","primary":"helix-scheduler-fair"' ||
            fail "$name: after $way another policy rules: $(grep -A3 "^after $way\$" "$output")"
    done
    ! grep '"progressed"' "$output" | grep -qv "\"progressed\":$threads,\"lost\":0,\"run_twice\":0,\"starved\":0" ||
        fail "$name: $(grep '"progressed"' "$output")"
    records_of "$output" | grep '"rule":"[a-z-]' >"$output.records" || true
    [[ $(wc -l <"$output.records") == "${#ways[@]}" ]] ||
        fail "$name: $(wc -l <"$output.records") of ${#ways[@]} failures are in the history: $(cat "$output.records")"
    for way in "${ways[@]}"; do
        read -r record
        check_record "$way" "$record" "$output" "$name"
    done <"$output.records"
}

# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Sourced by the torture tests: everything that may change under running threads changes, in an order drawn from a seed.
source "$HELIX_ROOT/tests/system/lib.sh"

torture_files=()
for name in template counter counter-2 scheduler-returns-garbage scheduler-loses-threads; do
    torture_files+=(--file "$modules/$name.hmod")
done
crashing_policies=(scheduler-crashes scheduler-returns-garbage scheduler-loses-threads)
ways_to_crash=(null divide ud2 noncanonical write_text execute_data stack_overflow abort)

# draw N: a number from 0 to N-1 in $drawn, from $state; Knuth's linear congruential generator (MMIX).
draw() {
    state=$((state * 6364136223846793005 + 1442695040888963407))
    drawn=$(((state >> 33 & 0x7fffffff) % $1))
}
toggle_cpu() {
    draw $((cpus - 1))
    local cpu=$((drawn + 1))
    if [[ ${online[cpu]} == 1 ]]; then echo "cpu offline $cpu"; else echo "cpu online $cpu"; fi
    online[cpu]=$((1 - online[cpu]))
}
# All that preempt: threads of the workload that compute without end would have a CPU for good under another.
rulers=(helix-scheduler-round-robin helix-scheduler-priority helix-scheduler-fair helix-scheduler-deadline)
# swap_scheduler [NAME]: to another, or to that one.
swap_scheduler() {
    standby=$ruler
    ruler=${1:-$standby}
    while [[ $ruler == "$standby" ]]; do draw ${#rulers[@]} && ruler=${rulers[drawn]}; done
    echo "swap helix.scheduler $ruler"
}
swap_allocator() {
    if [[ $allocator == slab ]]; then allocator=bump; else allocator=slab; fi
    echo "swap helix.allocator helix-allocator-$allocator"
}
change_counter() {
    case $counter in
        none) echo "load counter" && counter=old ;;
        old) printf '%s\n' "request counter add 5" "reload counter counter-2.hmod" && counter=new ;;
        new) printf '%s\n' "request counter get" "unload counter" && counter=none ;;
    esac
}
change_template() {
    if [[ $template == none ]]; then echo "load template" && template=loaded; else echo "unload template" && template=none; fi
}
# The check comes back once all threads ran again, so the policy is out or did no harm yet.
crash_policy() {
    draw ${#crashing_policies[@]}
    printf '%s\n' "swap helix.scheduler ${crashing_policies[drawn]}" "request helix-workload check" "settle"
}
crash_module() {
    draw ${#ways_to_crash[@]}
    printf '%s\n' "load crasher" "request crasher arm \"request ${ways_to_crash[drawn]}\"" "request crasher ping" \
        "settle" "unload crasher"
}
one_step() {
    draw 20
    case $drawn in
        0 | 1 | 2 | 3) swap_scheduler ;;
        4) echo "reload $ruler" ;;
        5) echo "reload $standby" ;;
        6 | 7 | 8 | 9 | 10) toggle_cpu ;;
        11 | 12) swap_allocator ;;
        13 | 14) change_template ;;
        15 | 16) change_counter ;;
        17) crash_policy ;;
        18) crash_module ;;
        19) printf '%s\n' "threads" "health" "event poke" ;;
    esac
}
# Everything as it was before, and no thread of the workload: what memory is used now is kept, or lost.
calm_down() {
    local cpu
    for ((cpu = 1; cpu < cpus; ++cpu)); do [[ ${online[cpu]} == 1 ]] || echo "cpu online $cpu"; online[cpu]=1; done
    [[ $ruler == helix-scheduler-round-robin ]] || swap_scheduler helix-scheduler-round-robin
    [[ $allocator == slab ]] || swap_allocator
    while [[ $counter != none ]]; do change_counter; done
    [[ $template == none ]] || change_template
    printf '%s\n' "request helix-workload check" "request helix-workload stop" "unload helix-workload"
    # A second after the last swap nothing of the policy before is kept any more; settle lets the supervisor see that.
    printf '%s\n' "sleep 1100" "settle" "memory --json"
}
# torture_commands SEED CPUS THREADS ROUNDS STEPS: memory is looked at after each round; the first ones fill what is
# kept on purpose.
torture_commands() {
    state=$1 cpus=$2
    local threads=$3 rounds=$4 steps=$5 round step cpu
    ruler=helix-scheduler-round-robin standby=helix-scheduler-priority allocator=slab counter=none template=none
    online=()
    for ((cpu = 0; cpu < cpus; ++cpu)); do online[cpu]=1; done
    printf 'load %s\n' "${rulers[@]:1}"
    # How many threads overlap with their successors differs from one policy to the next: the table grows once, now.
    printf '%s\n' "load helix-workload" "request helix-workload start $((2 * threads))" "request helix-workload stop" \
        "unload helix-workload"
    for ((round = 0; round < rounds; ++round)); do
        printf '%s\n' "load helix-workload" "request helix-workload start $threads"
        for ((step = 1; step <= steps; ++step)); do
            one_step
            ((step % 10 != 0)) || echo "request helix-workload check"
        done
        calm_down
    done
    printf '%s\n' "interfaces --json" "cpus --json" "echo the torture has ended"
}

# What may be refused: what is made to fail, and the reload of a policy that stands by for one on probation.
expected_errors='^error: (crasher failed: |.* stands by for .*, which is on probation$)'

# memory_came_back OUTPUT: from the second round on the heap uses the same bytes, and what is not the heap the same
# pages; but for four: tables for addresses that were never used before stay. The heap may keep pages in its magazines,
# eight for each CPU at most.
memory_came_back() {
    grep '^{"pages_total"' "$1" | sed 's/[^0-9 ]/ /g' | awk -v cpus="$cpus" '
        NR == 2 { outside = $2 + $3; heap = $3; bytes = $4 }
        NR > 2 && ($4 != bytes || $2 + $3 < outside - 4 || $3 > heap + 8 * cpus) { bad = 1 }
        END { exit bad || NR < 3 }'
}

# torture TEST SEED CPUS THREADS ROUNDS STEPS SECONDS: boots, tortures and judges; TEST is named where it fails. Memory
# is compared from three rounds on.
torture() {
    local test=$1 seed=$2 cpus=$3 threads=$4 rounds=$5 steps=$6 seconds=$7
    local output=$HELIX_TEST_DIRECTORY/$cpus-$seed
    local repeat="$cpus CPUs; repeat it with: HELIX_SEED=$seed ./helix test $test"
    torture_commands "$seed" "$cpus" "$threads" "$rounds" "$steps" >"$output.commands"
    # Commands fail on purpose; the exit status says no more than that.
    "$HELIX" run "$HELIX_ROOT/tests/system/torture.toml" --arch x86_64 --smp "$cpus" -q "${torture_files[@]}" \
        --timeout "$seconds" <"$output.commands" >"$output" 2>&1 || true
    ! grep -iq 'panic' "$output" || fail "$repeat: $(grep -i -A12 panic "$output" | head -30)"
    grep -qx 'the torture has ended' "$output" || fail "$repeat: it stopped after: $(tail -5 "$output")"

    # Checked each time: no thread is lost, starved or run twice.
    local checks done_well
    checks=$(grep -c '^request helix-workload check' "$output.commands")
    done_well=$(grep -c "\"progressed\":$threads,\"lost\":0,\"run_twice\":0,\"starved\":0" "$output" || true)
    [[ $done_well == "$checks" ]] || fail "$repeat: $done_well of $checks checks were good: $(grep '^error' "$output")"
    [[ $(grep -c '"threads":0,.*"run_twice":0,"cancelled":0,"not_replaced":0' "$output") == $((rounds + 1)) ]] ||
        fail "$repeat: $(grep '"threads":0,' "$output")"
    # Nothing is refused but what is made to fail.
    local errors
    errors=$(grep '^error' "$output" | grep -vE "$expected_errors" || true)
    [[ -z $errors ]] || fail "$repeat: $errors"
    # All is where it was.
    grep -q '"name":"helix.scheduler","primary":"helix-scheduler-round-robin"' "$output" ||
        fail "$repeat: $(grep '"primary"' "$output")"
    [[ $(grep -o '"online":true' <<<"$(tail -3 "$output")" | wc -l) == "$cpus" ]] || fail "$repeat: $(tail -3 "$output")"
    ((rounds < 3)) || memory_came_back "$output" || fail "$repeat: memory is not what it was: $(grep '^{"pages_total"' "$output")"
}

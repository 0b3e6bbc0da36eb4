# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Sourced by the tests of crashes: the ways to crash, what the kernel says of them, and what is left of memory.
source "$HELIX_ROOT/tests/system/lib.sh"

ways=(null divide ud2 noncanonical write_text execute_data loop stack_overflow creeping_overflow abort exhaust_memory
    double_fault foreign_token foreign_handle preemption_off preemption_on)
# What the kernel says of them. What takes long may run over the budget of its call first.
long="its call ran over its budget of CPU time"
preemption="it returned with preemption off, or enabled once too often"
declare -A causes=(
    [null]="page fault at address 0x0 " [divide]="divide error" [ud2]="invalid instruction"
    [noncanonical]="general protection fault" [write_text]="page fault at address 0x[1-9a-f]"
    [execute_data]="page fault at address 0x[1-9a-f]" [loop]="$long" [stack_overflow]="stack overflow"
    [creeping_overflow]="(stack overflow|$long)" [abort]="(told to abort in [A-Za-z]*Crasher::crash|abort called)" [exhaust_memory]="(out of memory|$long)"
    [double_fault]="general protection fault" [foreign_token]="it called the kernel with a token that is not its own"
    [foreign_handle]="(it used a handle that is damaged, or not its own|survived its own failure)" # refused where bounded
    [preemption_off]="$preemption" [preemption_on]="$preemption"
)

# memory_came_back OUTPUT [CPUS [TABLES]]: every `memory --json` line in the file reports the same bytes of the heap in
# use, and the same pages outside of the heap, but for so many: tables for addresses that were never used before stay.
# Some crashes use up all memory, which empties the heap's magazines; they may keep eight pages for each CPU.
memory_came_back() {
    grep '^{"pages_total"' "$1" >"$1.memory" || fail "no memory report in $1"
    sed 's/[^0-9 ]/ /g' "$1.memory" | awk -v kept=$((8 * ${2:-1})) -v tables="${3:-0}" '
        function differs(a, b, limit) { return a > b + limit || b > a + limit }
        NR == 1 { outside = $2 + $3; heap = $3; bytes = $4 }
        $4 != bytes || differs($2 + $3, outside, tables) || differs($3, heap, kept) { bad = 1 }
        END { exit bad }' || fail "memory is not what it was: $(sort "$1.memory" | uniq -c)"
}

#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# What fails is reported with the line of the source where it did: faults, loops, aborts and waits of a module that clang
# built, and faults of one that g++ built; of a policy the line that faulted, or where the method begins that gave a wrong
# answer. In both ports, in every place where the failure is shown; not where the profile keeps no symbols.
# timeout: 300
source "$HELIX_ROOT/tests/system/lib.sh"

crasher=$HELIX_ROOT/modules/test/crasher
breaker=$HELIX_ROOT/modules/test/scheduler_rule_breaker/scheduler_rule_breaker.cpp

# line_of FILE TEXT: "NAME:NUMBER" of the only line that has the text.
line_of() {
    local found
    found=$(grep -nF -- "$2" "$1") && [[ $(wc -l <<<"$found") == 1 ]] || fail "$1 has not one line with: $2"
    printf '%s:%s' "${1##*/}" "${found%%:*}"
}

declare -A lines=(
    [null]=$(line_of "$crasher/ways_to_crash.hpp" 'asm volatile("movb $1, (%0)"')
    [divide]=$(line_of "$crasher/ways_to_crash.hpp" 'asm volatile("xorl %%ecx, %%ecx;')
    [ud2]=$(line_of "$crasher/ways_to_crash.hpp" 'asm volatile("ud2")')
    [loop]=$(line_of "$crasher/ways_to_crash.hpp" 'for (;;) asm volatile("");')
    [abort]=$(line_of "$crasher/ways_to_crash.hpp" 'context->abort("told to abort")')
)
tick_line=$(line_of "$breaker" 'if (does(Way::Tick)) asm volatile("ud2");')
abort_line=$(line_of "$crasher/ways_to_crash.hpp" '__builtin_abort();')
wait_line=$(line_of "$HELIX_ROOT/modules/test/waiter/waiter.cpp" 'while (!context_->semaphore_wait(spoken_).ok())')
statistics_line=$(line_of "$breaker" 'SchedulerStatistics statistics(const SchedulerCpu& cpu) const override {')

# The same module, built by another compiler.
project=$HELIX_TEST_DIRECTORY/project
mkdir "$project"
cp "$crasher"/*.cpp "$crasher"/*.hpp "$project"
printf '%s\n' 'cmake_minimum_required(VERSION 3.25)' 'project(crasher CXX)' 'find_package(Helix REQUIRED)' \
    'helix_add_module(crasher crasher.cpp)' >"$project/CMakeLists.txt"
cmake -S "$project" -B "$project/build" -G Ninja -DCMAKE_CXX_COMPILER=g++ -DHelix_DIR="$HELIX_ROOT/cmake" \
    >"$project/log" 2>&1 && cmake --build "$project/build" >>"$project/log" 2>&1 || fail "$(tail -20 "$project/log")"

# profile FILE SYMBOLS CRASHER: one with that crasher.
profile() {
    sed -e "s/^symbols = .*/symbols = $2/" -e 's/"crasher", /"crasher", "scheduler-rule-breaker", /' \
        "$HELIX_ROOT/tests/system/no_restart.toml" >"$1"
    printf '\n[module."crasher"]\nfile = "%s"\n' "$3" >>"$1"
}
# And one that calls abort(), which the SDK has, in its constructor.
begin='in its constructor: '
offset=$(grep -obUa "$begin" "$modules/crasher.hmod" | head -1 | cut -d: -f1)
cp "$modules/crasher.hmod" "$HELIX_TEST_DIRECTORY/aborts.hmod"
printf 'abort\0' | dd of="$HELIX_TEST_DIRECTORY/aborts.hmod" bs=1 seek=$((offset + ${#begin})) conv=notrunc status=none

profile "$HELIX_TEST_DIRECTORY/clang.toml" true "$modules/crasher.hmod"
profile "$HELIX_TEST_DIRECTORY/gcc.toml" true "$project/build/modules/crasher.hmod"
profile "$HELIX_TEST_DIRECTORY/bare.toml" false "$modules/crasher.hmod"

crash() {
    printf '%s\n' "echo before $1" "load crasher" "request crasher $1" settle "module crasher" health "history --json" \
        "echo after $1" "unload crasher"
}
policy() {
    printf '%s\n' "load scheduler-rule-breaker" "swap helix.scheduler scheduler-rule-breaker" \
        "request scheduler-rule-breaker break $1" settle "echo policy $1" "history --json" "unload scheduler-rule-breaker"
}
commands() {
    for way in "$@"; do crash "$way"; done
    printf '%s\n' "load helix-workload" "request helix-workload start 4"
    for way in tick counts; do policy "$way"; done
}

# check OUTPUT WAY...: each is shown with its line, wherever it is shown.
check() {
    local output=$1 way report
    shift
    for way in "$@"; do
        report=$(sed -n "/^before $way\$/,/^after $way\$/p" "$output")
        [[ $report == *"after $way" ]] || fail "$output: nothing ran on after $way: $(tail -5 "$output")"
        for place in '^error: crasher failed: ' '^\[.*\] supervisor: crasher failed: ' '^failure  *crasher failed: ' \
            '^crasher  *Failed  *unhealthy .*crasher failed: '; do
            grep -qE "$place.* at ${lines[$way]//./\\.}\$" <<<"$report" || fail "$output: $way: no /$place/ at ${lines[$way]}: $report"
        done
        grep '^\[{"id"' <<<"$report" | sed 's/.*{"id"//' |
            grep -qE "\"reason\":\"[^\"]* at ${lines[$way]//./\\.}\".*\"source\":\"${lines[$way]//./\\.}\"" ||
            fail "$output: $way is not in the history at ${lines[$way]}: $report"
    done
}
# check_policy OUTPUT WAY LINE
check_policy() {
    sed -n "/^policy $2\$/,/^\[{/p" "$1" | sed 's/},{"id"/}\n{"id"/g' |
        grep -q "\"rule\":\"[a-z-]*\",.*\"function\":\"SchedulerRuleBreaker::[a-z_]*\",\"source\":\"$3\"" ||
        fail "$1: $2 was not evicted at $3: $(sed -n "/^policy $2\$/,/^\[{/p" "$1")"
}

for arch in hosted x86_64; do
    for compiler in clang gcc; do
        # What g++ inlines has lines of its own: an abort is where the SDK calls the kernel.
        [[ $compiler == clang ]] && ways=(null divide ud2 loop abort) || ways=(null divide ud2 loop)
        shell_profile=$HELIX_TEST_DIRECTORY/$compiler.toml
        output=$HELIX_TEST_DIRECTORY/$arch-$compiler
        commands "${ways[@]}" | helix_shell "$arch" --smp 2 --timeout 150 >"$output" 2>&1
        ! grep -iq panic "$output" || fail "$arch, $compiler: $(grep -iA3 panic "$output")"
        check "$output" "${ways[@]}"
        check_policy "$output" tick "$tick_line"
        check_policy "$output" counts "$statistics_line"
    done
    # Who does not leave a module that is to be replaced waits at a line.
    printf '%s\n' "load waiter-1" "load waiter-caller" "request waiter-caller insist" "request waiter called" "reload waiter" \
        "request waiter speak" | helix_shell "$arch" --file "$modules/waiter-1.hmod" --file "$modules/waiter-caller.hmod" \
        >"$HELIX_TEST_DIRECTORY/$arch-waits" 2>&1
    grep -q "^error: thread .* in WaiterModule::insist at $wait_line did not leave waiter" "$HELIX_TEST_DIRECTORY/$arch-waits" ||
        fail "$arch: $(cat "$HELIX_TEST_DIRECTORY/$arch-waits")"
    echo "load aborts" | helix_shell "$arch" --file "$HELIX_TEST_DIRECTORY/aborts.hmod" >"$HELIX_TEST_DIRECTORY/$arch-aborts" 2>&1
    grep -q "^error: aborts.hmod: crasher failed: abort called in .* at $abort_line\$" "$HELIX_TEST_DIRECTORY/$arch-aborts" ||
        fail "$arch: $(cat "$HELIX_TEST_DIRECTORY/$arch-aborts")"
    shell_profile=$HELIX_TEST_DIRECTORY/bare.toml
    output=$HELIX_TEST_DIRECTORY/$arch-bare
    crash ud2 | helix_shell "$arch" >"$output" 2>&1
    grep -qE '^error: crasher failed: invalid instruction in crasher\+0x[0-9a-f]+$' "$output" ||
        fail "$arch: $(grep '^error' "$output")"
    grep -q '"function":"","source":""' "$output" || fail "$arch: $(grep '"function"' "$output")"
done

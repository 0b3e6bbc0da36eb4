#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Under each policy threads that only compute get the shares of the CPU that theory says. In the emulator's own time, in
# which each instruction takes a nanosecond: two runs are the same.
# timeout: 300
source "$HELIX_ROOT/tests/system/lib.sh"

# Four threads of priorities 16 to 13, and what each should get of the CPU, in thousandths. The fair policy's weights are
# 1024, 819, 655, 524. The deadline policy reserves for the first two what is asked below. Nobody ever gives way.
declare -A theory=(
    [round-robin]="250 250 250 250"
    [fair]="339 271 217 173"
    [priority]="1000 0 0 0"
    [deadline]="300 250 225 225"
    [cooperative]="1000 0 0 0"
)
readonly policies=(round-robin fair priority deadline cooperative)
readonly tolerance=12 # of a thousand: a turn or two in the time that is measured

commands="load helix-workload; request helix-workload start_steps 4"
for policy in "${policies[@]}"; do
    [[ $policy == round-robin ]] || commands+="; swap helix.scheduler helix-scheduler-$policy"
    [[ $policy == deadline ]] &&
        commands+="; request helix-workload attributes '0 0 3000 0 10000'; request helix-workload attributes '1 0 10000 0 40000'"
    # Past the probation, in which turns are short, and then for a while.
    commands+="; sleep 100; threads --json; sleep 800; threads --json"
done
output=$HELIX_TEST_DIRECTORY/output
"$HELIX" run "$HELIX_ROOT/tests/boot/shares.toml" --arch x86_64 -q --icount --timeout 280 --exec "$commands; request helix-workload stop" \
    >"$output" 2>&1 || fail "$(cat "$output")"

# runtimes LINE: CPU time of the four threads in the LINEth report, in microseconds.
runtimes() {
    local i
    for i in 0 1 2 3; do
        grep '^\[{"id":' "$output" | sed -n "$1p" |
            sed -E "s/.*\"name\":\"workload-$i\"[^}]*\"runtime_ns\":([0-9]+)[0-9]{3}[,}].*/\1/"
    done
}

report=1
for policy in "${policies[@]}"; do
    mapfile -t before < <(runtimes $report)
    mapfile -t after < <(runtimes $((report + 1)))
    report=$((report + 2))
    read -ra due <<<"${theory[$policy]}"
    total=0
    for i in 0 1 2 3; do total=$((total + after[i] - before[i])); done
    ((total > 700000)) || fail "$policy: they had the CPU for $total us of 800000: $(cat "$output")"
    shares=()
    for i in 0 1 2 3; do shares+=($(((after[i] - before[i]) * 1000 / total))); done
    # Who has the CPU when the cooperative policy comes keeps it.
    [[ $policy == cooperative ]] && mapfile -t shares < <(printf '%s\n' "${shares[@]}" | sort -rn)
    for i in 0 1 2 3; do
        ((shares[i] >= due[i] - tolerance && shares[i] <= due[i] + tolerance)) ||
            fail "$policy: the shares are ${shares[*]}, not ${due[*]}: $(cat "$output")"
    done
    echo "$policy: ${shares[*]}"
done

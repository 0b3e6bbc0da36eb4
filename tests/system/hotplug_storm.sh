#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# CPUs go and come without a pause while a thousand threads run, in both ports: no thread is lost, run twice or starved.
# timeout: 400
source "$HELIX_ROOT/tests/system/torture_lib.sh"

seed=${HELIX_SEED:-$SRANDOM}
cpus=4 storms=4 changes=100

commands() {
    state=$seed online=(1 1 1 1)
    printf '%s\n' "load helix-workload" "request helix-workload start 1000"
    for ((storm = 0; storm < storms; ++storm)); do
        for ((change = 0; change < changes; ++change)); do toggle_cpu; done
        echo "request helix-workload check"
    done
    for ((cpu = 1; cpu < cpus; ++cpu)); do ((online[cpu])) || echo "cpu online $cpu"; done
    printf '%s\n' "request helix-workload check" "request helix-workload stop" "cpus"
}
commands >"$HELIX_TEST_DIRECTORY/commands"

for arch in hosted x86_64; do
    output=$HELIX_TEST_DIRECTORY/$arch
    repeat="$arch; repeat it with: HELIX_SEED=$seed ./helix test system/hotplug_storm"
    helix_shell "$arch" --smp "$cpus" --timeout 180 <"$HELIX_TEST_DIRECTORY/commands" >"$output" 2>&1
    changed=$(grep -cE '^CPU [123] is (offline|online)$' "$output" || true)
    wanted=$(grep -c '^cpu o' "$HELIX_TEST_DIRECTORY/commands")
    [[ $changed == "$wanted" ]] || fail "$repeat: $changed of $wanted changes: $(grep -i 'error\|panic' "$output" | head -5) $(tail -3 "$output")"
    good=$(grep -c '"progressed":1000,"lost":0,"run_twice":0,"starved":0' "$output" || true)
    [[ $good == $((storms + 1)) ]] || fail "$repeat: $good of $((storms + 1)) checks were good: $(grep '^error' "$output")"
    grep -q '"threads":0,.*"run_twice":0,"cancelled":0,"not_replaced":0' "$output" || fail "$repeat: $(tail -8 "$output")"
done

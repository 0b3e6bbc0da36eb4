#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Under the priority policy the two most urgent threads have two CPUs to themselves, wherever they were put when others
# computed on both: none of them waits while one that is less urgent runs.
source "$HELIX_ROOT/tests/system/lib.sh"

sed 's/^module = .*/module = "priority"\nstarvation_limit_ms = 0/; s/"helix-scheduler-round-robin"/"helix-scheduler-priority"/;
    s/"helix-scheduler-priority", "helix-workload"/"helix-workload"/' \
    "$HELIX_ROOT/tests/system/storm.toml" >"$HELIX_TEST_DIRECTORY/priority.toml"
shell_profile=$HELIX_TEST_DIRECTORY/priority.toml
load='{"global":{"duration":2},"tasks":{"low":{"instance":3,"priority":10,"run":1000},
    "urgent":{"instance":2,"delay":200000,"priority":31,"slice":10000000,"run":1000}}}'

# check WHERE RUN OPTION...: those that are less urgent were alone for a tenth of the time.
check() {
    local where=$1 work urgent low
    shift
    printf '%s\n' "load helix-workload" "request helix-workload run '${load//$'\n'/}'" "request helix-workload details" |
        helix_shell "$@" >"$HELIX_TEST_DIRECTORY/output" 2>&1
    work=$(grep -o '"work_ns":\[\[.*' "$HELIX_TEST_DIRECTORY/output") || fail "$where: $(cat "$HELIX_TEST_DIRECTORY/output")"
    read -ra low <<<"$(sed 's/.*\[\[\([0-9,]*\)\],.*/\1/; s/,/ /g' <<<"$work")"
    read -ra urgent <<<"$(sed 's/.*\],\[\([0-9,]*\)\].*/\1/; s/,/ /g' <<<"$work")"
    for each in "${urgent[@]}"; do
        ((each > low[0] + low[1] + low[2])) || fail "$where: one that is urgent waited for others: $work"
    done
}

check hosted hosted --smp 2
check x86_64 x86_64 --smp 2

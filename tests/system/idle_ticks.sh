#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# While one CPU works and ticks, CPUs with nothing to do take no tick at all.
# timeout: 120
source "$HELIX_ROOT/tests/system/lib.sh"

# The demo, but nobody wakes up to ask modules for their health.
shell_profile=$HELIX_TEST_DIRECTORY/profile
mkdir "$shell_profile"
sed 's/^name = "demo"/name = "idle-ticks"/; s/^\[modules\]$/&\nhealth_period = "0s"/' \
    "$HELIX_ROOT/profiles/demo/helix.toml" >"$shell_profile/helix.toml"

# ticks NUMBER OUTPUT: the ticks of all CPUs, a line each, as the NUMBERth report says.
ticks() {
    grep '^\[{"id":0' "$2" | sed -n "$1p" | grep -o '"ticks":[0-9]*' | cut -d : -f 2
}

check() {
    local name=$1 output=$HELIX_TEST_DIRECTORY/$1
    shift
    printf '%s\n' "load helix-workload" "request helix-workload start 1" "sleep 200" "cpus --json" "sleep 500" \
        "cpus --json" "request helix-workload check" | helix_shell "$@" --smp 4 >"$output" 2>&1
    grep -q '"progressed":1,"lost":0' "$output" || fail "$name: nothing worked: $(cat "$output")"
    local working=0 still=0 before after
    while read -r before after; do
        ((after - before < 20)) || working=$((working + 1))
        ((after != before)) || still=$((still + 1))
    done < <(paste <(ticks 1 "$output") <(ticks 2 "$output"))
    ((working >= 1 && still >= 2)) || fail "$name: $working CPUs ticked, $still took no tick: $(grep '^\[' "$output")"
}

check hosted hosted
check replay hosted --replay 1
check x86_64 x86_64

#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Of a module whose last interface cannot be published nothing stays: no interface, no implementor, no memory.
source "$HELIX_ROOT/tests/system/lib.sh"

# Three rounds to fill the heap's magazines, then two that must not differ.
commands() {
    for round in 1 2 3 4 5; do
        printf '%s\n' "load implements-twice" "interfaces" "modules" "settle"
        ((round >= 4)) && echo "memory --json"
    done
}

for arch in hosted x86_64; do
    output=$HELIX_TEST_DIRECTORY/$arch
    commands | helix_shell "$arch" --file "$modules/implements-twice.hmod" >"$output" 2>&1
    refused=$(grep -c 'implements-twice.hmod: implements-twice implements test.second twice' "$output")
    [[ $refused == 5 ]] || fail "$arch: refused $refused times: $(grep error "$output")"
    ! grep -q '^test\.\|^implements-twice' "$output" || fail "$arch: it stayed: $(grep '^test\.\|^impl' "$output")"
    [[ $(grep -c '^{"pages_total"' "$output") == 2 ]] || fail "$arch: no two memory reports"
    same_memory "$output"
done

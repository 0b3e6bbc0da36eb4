#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A module that crashes in init or start, in any way, is not loaded, and leaves nothing.
# timeout: 300
source "$HELIX_ROOT/tests/system/lib.sh"

for where in init start; do
    for how in null divide ud2 noncanonical write_text execute_data loop stack_overflow creeping_overflow abort exhaust_memory; do
        profile=$HELIX_TEST_DIRECTORY/$where-$how
        mkdir "$profile"
        {
            sed 's/^name = "demo"/name = "crash"/' "$HELIX_ROOT/profiles/demo/helix.toml"
            printf '\n[module.crasher]\nwhere = "%s"\nhow = "%s"\n' "$where" "$how"
        } >"$profile/helix.toml"
        for arch in hosted x86_64; do
            output=$profile/$arch
            printf '%s\n' "load crasher" "memory --json" "load crasher" "memory --json" "modules" |
                "$HELIX" run "$profile" --arch "$arch" -q --memory 64 >"$output" 2>&1 || true
            grep -q 'crasher.hmod: crasher failed' "$output" || fail "$arch, $where, $how: $(cat "$output")"
            grep -q 'helix-memory .*Running' "$output" || fail "$arch, $where, $how: the rest did not run on"
            ! grep -q '^crasher' "$output" || fail "$arch, $where, $how: it is listed as loaded"
            same_memory "$output"
        done
    done
done

#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A module that crashes in its constructor, in init or in start, in any way, is not loaded, and leaves nothing.
# timeout: 400
source "$HELIX_ROOT/tests/system/lib.sh"

ways=(null divide ud2 noncanonical write_text execute_data loop stack_overflow creeping_overflow abort exhaust_memory)

# refused ARCH PROFILE OUTPUT RUN-OPTIONS...: loads the crasher twice, which must leave nothing.
refused() {
    local arch=$1 profile=$2 output=$3
    shift 3
    printf '%s\n' "load crasher" "memory --json" "load crasher" "memory --json" "modules" |
        "$HELIX" run "$profile" --arch "$arch" -q --memory 64 "$@" >"$output" 2>&1 || true
    [[ $(grep -c '^error: crasher.hmod: crasher failed' "$output") == 2 ]] || fail "$output: $(cat "$output")"
    grep -q 'helix-memory .*Running' "$output" || fail "$output: the rest did not run on"
    ! grep -q '^crasher' "$output" || fail "$output: it is listed as loaded"
    same_memory "$output"
}

for where in init start; do
    for how in "${ways[@]}"; do
        profile=$HELIX_TEST_DIRECTORY/$where-$how
        mkdir "$profile"
        {
            sed 's/^name = "demo"/name = "crash"/' "$HELIX_ROOT/profiles/demo/helix.toml"
            printf '\n[module.crasher]\nwhere = "%s"\nhow = "%s"\n' "$where" "$how"
        } >"$profile/helix.toml"
        for arch in hosted x86_64; do refused "$arch" "$profile" "$profile/$arch"; done
    done
done

# A constructor has no configuration: it finds what it does in the file.
mark='in its constructor: '
offset=$(grep -obUa "$mark" "$modules/crasher.hmod" | head -1 | cut -d: -f1)
for how in "${ways[@]}"; do
    folder=$HELIX_TEST_DIRECTORY/constructor-$how
    mkdir "$folder"
    cp "$modules/crasher.hmod" "$folder/"
    printf '%s\0' "$how" | dd of="$folder/crasher.hmod" bs=1 seek=$((offset + ${#mark})) conv=notrunc status=none
    for arch in hosted x86_64; do
        refused "$arch" demo "$folder/$arch" --file "$folder/crasher.hmod"
    done
done

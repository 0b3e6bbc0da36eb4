#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Ten thousand times loading and unloading a module leaves memory exactly where it was, in both ports.
# timeout: 300
source "$HELIX_ROOT/tests/system/lib.sh"

commands() {
    # The first round fills the heap's magazines.
    for ((i = 0; i < 100; ++i)); do printf 'load template\nunload template\n'; done
    echo "memory --json"
    for ((i = 0; i < 10000; ++i)); do printf 'load template\nunload template\n'; done
    echo "memory --json"
}

for arch in hosted x86_64; do
    output=$HELIX_TEST_DIRECTORY/$arch
    commands | helix_shell $arch --file "$modules/template.hmod" --timeout 240 >"$output" 2>&1
    [[ $(grep -c "^template is unloaded" "$output") == 10100 ]] || fail "$arch: $(grep -v "^template" "$output" | head)"
    [[ $(grep -c "^{\"pages_total\"" "$output") == 2 ]] || fail "$arch: no two memory reports"
    same_memory "$output"
done

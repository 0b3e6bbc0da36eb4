#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Ten thousand times loading and unloading a module leaves memory exactly where it was. So do a thousand times loading
# one that leaves behind whatever a module can own, and kept memory, and in between another that keeps some. In the
# emulated port a tenth of that, unless HELIX_CYCLES says how often.
# timeout: 300
source "$HELIX_ROOT/tests/system/lib.sh"

# commands CYCLES
commands() {
    # The first round fills the heap's magazines.
    for ((i = 0; i < 100; ++i)); do printf 'load template\nunload template\n'; done
    echo "memory --json"
    for ((i = 0; i < $1; ++i)); do printf 'load template\nunload template\n'; done
    echo "memory --json"
}

# Semaphores are memory only by the hundred, so there must be many.
own_commands() {
    echo "load greeter-english"
    for ((i = 0; i < 100; ++i)); do echo "load leaks; unload leaks; load counter; request counter add; unload counter"; done
    echo "memory --json"
    for ((i = 0; i < $1; ++i)); do echo "load leaks; unload leaks; load counter; request counter add; unload counter"; done
    echo "memory --json"
    # Nobody holds a handle any more.
    echo "unload greeter-english"
}

for arch in hosted x86_64; do
    output=$HELIX_TEST_DIRECTORY/$arch
    cycles=10000
    [[ $arch == hosted ]] || cycles=${HELIX_CYCLES:-1000}
    commands "$cycles" | helix_shell $arch --file "$modules/template.hmod" --timeout 240 >"$output" 2>&1
    [[ $(grep -c "^template is unloaded" "$output") == $((cycles + 100)) ]] ||
        fail "$arch: $(grep -v "^template" "$output" | head)"
    [[ $(grep -c "^{\"pages_total\"" "$output") == 2 ]] || fail "$arch: no two memory reports"
    same_memory "$output"

    cycles=$((cycles / 10))
    own_commands "$cycles" | helix_shell $arch --file "$modules/leaks.hmod" --file "$modules/counter.hmod" \
        --file "$modules/greeter-english.hmod" --timeout 120 >"$output" 2>&1
    for line in "^leaks is unloaded" "^counter is unloaded" "leaked .* 1 thread, 1 semaphore, 1 handle" '^1$'; do
        [[ $(grep -c "$line" "$output") == $((cycles + 100)) ]] ||
            fail "$arch: $line: $(grep -v "^leaks\|^counter\|leaked\|^1$" "$output" | head)"
    done
    grep -q "^greeter-english is unloaded" "$output" || fail "$arch: $(tail -3 "$output")"
    [[ $(grep -c "^{\"pages_total\"" "$output") == 2 ]] || fail "$arch: no two memory reports"
    same_memory "$output"
done

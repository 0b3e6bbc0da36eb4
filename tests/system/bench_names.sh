#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# `bench NAME` runs what has a metric of that name and nothing else; a name that fits none gets the nearest ones, and
# nothing runs.
source "$HELIX_ROOT/tests/system/lib.sh"
directory=$HELIX_TEST_DIRECTORY

# bench ARGUMENT...: its status in $status, what it says in the files output and errors.
bench() {
    status=0
    "$HELIX" bench --color never "$@" >"$directory/output" 2>"$directory/errors" || status=$?
}

bench --list
[[ $status == 0 ]] || fail "--list ends with $status"
for metric in call.bounded image.minimal mutex.uncontended boot.instructions; do
    grep -qx "$metric" "$directory/output" || fail "--list has no $metric: $(<"$directory/output")"
done
bench --list mutex
[[ $(<"$directory/output") == mutex.uncontended ]] || fail "--list mutex: $(<"$directory/output")"

bench --list cpus
for metric in hold.locks thread.switch mutex.uncontended guest.wakeup; do
    grep -qx "$metric" "$directory/output" || fail "--list cpus has no $metric: $(<"$directory/output")"
done
! grep -q '^call\|^boot' "$directory/output" || fail "--list cpus has others: $(<"$directory/output")"

bench image.minimal --json
[[ $status == 0 ]] || fail "image.minimal ends with $status: $(<"$directory/errors")"
[[ $(<"$directory/errors") == "[1/1] measuring image.minimal …" ]] || fail "more is run: $(<"$directory/errors")"
[[ $(<"$directory/output") == '{"metric":"image.minimal","unit":"bytes",'* ]] || fail "$(<"$directory/output")"

bench mutex.uncontented
[[ $status == 1 && ! -s $directory/output ]] || fail "an unknown name ends with $status: $(<"$directory/output")"
[[ $(<"$directory/errors") == 'helix: error: no metric matches "mutex.uncontented"; the nearest: mutex.uncontended' ]] ||
    fail "$(<"$directory/errors")"

# What takes long runs by its name, or with --long. In a build with nothing else in it.
programs=$directory/build/bin
mkdir -p "$programs"
cp "$HELIX" "$programs/helix"
for name in helix_bench_quick helix_long_bench_slow; do
    printf '%s\n' '#!/bin/sh' "if [ \"\$1\" = --list ]; then echo $name" \
        "else echo '{\"metric\":\"$name\",\"unit\":\"ns\",\"median\":1,\"p99\":1,\"runs\":1,\"peers\":{}}'; fi" \
        >"$programs/$name"
    chmod +x "$programs/$name"
done
HELIX=$programs/helix
# measures NAME...: those two that `bench` ran last time.
measures() {
    [[ $(grep -o 'measuring helix_[a-z_]*' "$directory/errors" | cut -d' ' -f2 | xargs) == "$*" ]] ||
        fail "it measured otherwise: $(<"$directory/errors")"
}
bench
measures helix_bench_quick
bench --long
measures helix_bench_quick helix_long_bench_slow
bench slow
[[ $status == 0 ]] || fail "slow ends with $status: $(<"$directory/errors")"
measures helix_long_bench_slow

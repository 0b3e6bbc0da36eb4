#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A policy that breaks a rule, whichever, is taken out, and the one before it put back with its threads: on probation,
# and, hosted, when it has ruled for long. The report names the rule, the thread that it was broken for, the function and
# the line. On two CPUs.
# timeout: 400
source "$HELIX_ROOT/tests/system/lib.sh"
source "$HELIX_ROOT/tests/system/rule_breakers_lib.sh"

for arch in ${HELIX_ARCH:-hosted x86_64}; do
    for when in on_probation long_after; do
        [[ $arch-$when != x86_64-long_after ]] || continue
        [[ $when == on_probation ]] && shell_profile=$HELIX_TEST_DIRECTORY/on_probation.toml ||
            shell_profile=$HELIX_ROOT/tests/system/rule_breakers.toml
        sed 's/probation = "1ms"/probation = "60s"/' "$HELIX_ROOT/tests/system/rule_breakers.toml" \
            >"$HELIX_TEST_DIRECTORY/on_probation.toml"
        output=$HELIX_TEST_DIRECTORY/$arch-$when
        break_all_rules "$when" 12 | helix_shell "$arch" --smp 2 --timeout 150 >"$output" 2>&1
        check_all_rules "$arch, $when" "$output" 12
    done
done

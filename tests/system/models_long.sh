#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# The random models of locks, waits and timers take a million steps together, under replay with seeds that are new each
# time: 13 seeds, 1, 2 and 4 CPUs, 2,000 steps for each of 13 models. What fails prints how to repeat it.
# long
# timeout: 7200
set -euo pipefail

first=${HELIX_SEED:-$((SRANDOM % 1000000000))}
for ((seed = first; seed < first + 13; ++seed)); do
    echo "seed $seed"
    HELIX_TEST_SEED=$seed HELIX_TEST_STEPS=2000 "$HELIX_BUILD_DIRECTORY/bin/helix_model_tests" --gtest_brief=1 \
        --gtest_filter='*.IsFollowedStepByStep:*Crowd.*UnderReplay:-ModuleSystem*'
done

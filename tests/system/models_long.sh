#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# The random models of locks, waits and timers take a million steps together, under replay with seeds that are new each
# time: each model 2,000 steps with 1, 2 and 4 CPUs, and so for as many seeds as it takes. What fails prints how to
# repeat it; so does a filter that finds no models.
# long
# timeout: 7200
set -euo pipefail

wanted=${HELIX_STEPS:-1000000}
filter=${HELIX_FILTER:-*.IsFollowedStepByStep:*Crowd.*UnderReplay:-ModuleSystem*}
seed=${HELIX_SEED:-$((SRANDOM % 1000000000))}
steps=0
while ((steps < wanted)); do
    echo "seed $seed"
    HELIX_TEST_SEED=$seed HELIX_TEST_STEPS=2000 "$HELIX_BUILD_DIRECTORY/bin/helix_model_tests" --gtest_brief=1 \
        --gtest_filter="$filter" | tee "$HELIX_TEST_DIRECTORY/output"
    taken=$(sed -n 's/^models: [0-9]* runs of \([0-9]*\) steps in all$/\1/p' "$HELIX_TEST_DIRECTORY/output")
    # 14 models with three numbers of CPUs each; some share out their steps among threads, to the last full round. Fewer
    # mean that the filter has lost some.
    ((${taken:-0} >= 14 * 3 * 1990)) || { echo "only ${taken:-0} steps were taken with the filter $filter"; exit 1; }
    steps=$((steps + taken))
    seed=$((seed + 1))
done
echo "$steps steps"

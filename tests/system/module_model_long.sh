#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# The model of the module system takes a million steps, under replay with seeds that are new each time: 2,000 steps with
# 1, 2 and 4 CPUs, where modules that fail stay so and where they are restarted. What fails prints how to repeat it.
# long
# timeout: 3600
set -euo pipefail

wanted=${HELIX_STEPS:-1000000}
seed=${HELIX_SEED:-$((SRANDOM % 1000000000))}
steps=0
while ((steps < wanted)); do
    echo "seed $seed"
    HELIX_TEST_SEED=$seed HELIX_TEST_STEPS=2000 "$HELIX_BUILD_DIRECTORY/bin/helix_model_tests" --gtest_brief=1 \
        --gtest_filter='ModuleSystemModel.*' | tee "$HELIX_TEST_DIRECTORY/output"
    taken=$(sed -n 's/^models: [0-9]* runs of \([0-9]*\) steps in all$/\1/p' "$HELIX_TEST_DIRECTORY/output")
    ((${taken:-0} == 2 * 3 * 2000)) || { echo "only ${taken:-0} steps were taken"; exit 1; }
    steps=$((steps + taken))
    seed=$((seed + 1))
done
echo "$steps steps"

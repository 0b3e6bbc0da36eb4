# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Sourced by the long runs of the models.
set -euo pipefail

# take_a_million_steps FILTER LEAST: models that the filter names, under replay with seeds that are new each time, 2,000
# steps a run. Fewer steps than LEAST for a seed mean that the filter has lost some models.
take_a_million_steps() {
    local filter=$1 least=$2 wanted=${HELIX_STEPS:-1000000} seed=${HELIX_SEED:-$((SRANDOM % 1000000000))} steps=0 taken
    while ((steps < wanted)); do
        echo "seed $seed"
        HELIX_TEST_SEED=$seed HELIX_TEST_STEPS=2000 "$HELIX_BUILD_DIRECTORY/bin/helix_model_tests" --gtest_brief=1 \
            --gtest_filter="$filter" | tee "$HELIX_TEST_DIRECTORY/output"
        taken=$(sed -n 's/^models: [0-9]* runs of \([0-9]*\) steps in all$/\1/p' "$HELIX_TEST_DIRECTORY/output")
        ((${taken:-0} >= least)) || { echo "only ${taken:-0} steps were taken with the filter $filter"; exit 1; }
        steps=$((steps + taken))
        seed=$((seed + 1))
    done
    echo "$steps steps"
}

#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# The random models of locks, waits and timers take a million steps together, under replay with seeds that are new each
# time: each model 2,000 steps with 1, 2 and 4 CPUs, and so for as many seeds as it takes. What fails prints how to
# repeat it; so does a filter that finds no models.
# long
# timeout: 7200
source "$HELIX_ROOT/tests/system/models_lib.sh"

# 14 models with three numbers of CPUs each; some share out their steps among threads, to the last full round.
take_a_million_steps "${HELIX_FILTER:-*.IsFollowedStepByStep:*Crowd.*UnderReplay:-ModuleSystem*}" $((14 * 3 * 1990))

#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# The model of the module system takes a million steps, under replay with seeds that are new each time: 2,000 steps with
# 1, 2 and 4 CPUs, where modules that fail stay so and where they are restarted. What fails prints how to repeat it.
# long
# timeout: 3600
source "$HELIX_ROOT/tests/system/models_lib.sh"

take_a_million_steps 'ModuleSystemModel.*' $((2 * 3 * 2000))

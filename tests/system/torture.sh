#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Swaps, reloads, loads, unloads, CPUs that go and come, allocators and crashing policies in an order drawn from a seed,
# under running threads on 4 and on 16 CPUs: nothing is lost, run twice or starved, and with 4 CPUs memory comes back.
# timeout: 300
# long
source "$HELIX_ROOT/tests/system/torture_lib.sh"

seed=${HELIX_SEED:-$SRANDOM}
torture system/torture "$seed" 4 100 3 16 120
torture system/torture "$seed" 16 25 1 8 120

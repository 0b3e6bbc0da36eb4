#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A thousand swaps between round robin and priority under a thousand threads that change their attributes, while one of
# two CPUs goes and comes, in both ports, and two hundred among all policies, hosted: no thread is lost, run twice or
# starved. `swap_storm_long` has more of these.
# timeout: 400
source "$HELIX_ROOT/tests/system/storm_lib.sh"

seed=${HELIX_SEED:-$SRANDOM}
storm system/thousand_swaps "$seed" hosted 2 1000 200 2 140
storm_policies=(helix-scheduler-priority helix-scheduler-round-robin)
storm system/thousand_swaps "$seed" hosted 2 1000 1000 4 140
storm system/thousand_swaps "$seed" x86_64 2 1000 1000 4 180

#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A thousand swaps among all policies under a thousand threads that change their attributes, while one of two CPUs goes
# and comes, hosted, and a thousand between round robin and priority, in both ports: no thread is lost, run twice or
# starved.
# timeout: 400
source "$HELIX_ROOT/tests/system/storm_lib.sh"

seed=${HELIX_SEED:-$SRANDOM}
storm system/thousand_swaps "$seed" hosted 2 1000 1000 4 140
storm_policies=(helix-scheduler-priority helix-scheduler-round-robin)
storm system/thousand_swaps "$seed" hosted 2 1000 1000 4 140
storm system/thousand_swaps "$seed" x86_64 2 1000 1000 4 180

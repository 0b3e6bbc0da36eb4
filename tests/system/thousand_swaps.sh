#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A thousand swaps among all policies under a thousand threads that change their attributes, while one of two CPUs goes
# and comes, hosted, and three hundred in the emulator: no thread is lost, run twice or starved.
# timeout: 300
source "$HELIX_ROOT/tests/system/storm_lib.sh"

seed=${HELIX_SEED:-$SRANDOM}
storm system/thousand_swaps "$seed" hosted 2 1000 1000 4 140
storm system/thousand_swaps "$seed" x86_64 2 1000 300 3 140

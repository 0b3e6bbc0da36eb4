#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Ten thousand swaps among all policies under ten thousand threads on four CPUs that go and come, hosted; a thousand in
# replay; and five hundred under two thousand threads in an emulator: no thread is lost, run twice or starved.
# long
# timeout: 14400
source "$HELIX_ROOT/tests/system/storm_lib.sh"

seed=${HELIX_SEED:-$SRANDOM}
storm system/swap_storm_long "$seed" hosted 4 10000 10000 10 7200 --memory 1024
storm system/swap_storm_long "$seed" hosted 4 1000 1000 4 1800 --replay "$((seed % 1000000))"
storm system/swap_storm_long "$seed" x86_64 4 2000 500 5 1800 --memory 512

#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Ten thousand swaps of the scheduler under ThreadSanitizer, hosted, while threads come, go, move and change their
# attributes and CPUs go and come. There are as many threads as that sanitizer has room for beside those that come and go.
# timeout: 14400
# long
export HELIX_BUILD=tsan HELIX_BUILD_DIRECTORY=$HELIX_ROOT/build/tsan HELIX=$HELIX_ROOT/helix
source "$HELIX_ROOT/tests/system/storm_lib.sh"

storm_slowness=4
storm sanitizers/storm "${HELIX_SEED:-$SRANDOM}" hosted 4 "${HELIX_THREADS:-4000}" "${HELIX_SWAPS:-10000}" 10 14000 --memory 1024

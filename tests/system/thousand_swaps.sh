#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A thousand swaps among all policies under a thousand threads that change their attributes, while one of two CPUs goes
# and comes, in both ports: no thread is lost, run twice or starved.
# timeout: 300
source "$HELIX_ROOT/tests/system/storm_lib.sh"

seed=${HELIX_SEED:-$SRANDOM}
for arch in hosted x86_64; do storm system/thousand_swaps "$seed" "$arch" 2 1000 1000 4 140; done

#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Unit tests and hosted scripts under ThreadSanitizer, with the lock order checked.
# timeout: 900
# long
# Under replay all CPUs are one pthread, so that this sanitizer sees nothing: few steps are enough there.
export HELIX_TEST_STEPS=150 HELIX_TEST_SEEDS=1
"$HELIX" test --sanitizer thread
export HELIX_TEST_STEPS=2000
exec "$HELIX" test --sanitizer thread 'unit/*Crowd'


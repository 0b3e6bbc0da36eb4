#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Unit tests and hosted scripts under AddressSanitizer and UndefinedBehaviorSanitizer, with the lock order checked.
# timeout: 2700
# The models' full number of steps belongs to the ordinary build.
export HELIX_TEST_STEPS=500 HELIX_TEST_SEEDS=1
exec "$HELIX" test --sanitizer address

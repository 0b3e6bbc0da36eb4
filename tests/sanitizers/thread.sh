#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Unit tests and hosted scripts under ThreadSanitizer, with the lock order checked.
# timeout: 900
# long
# A race shows in few steps as in many; the ordinary build takes more.
export HELIX_TEST_STEPS=150 HELIX_TEST_SEEDS=1
exec "$HELIX" test --sanitizer thread

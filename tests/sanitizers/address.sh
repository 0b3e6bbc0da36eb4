#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Unit tests and hosted scripts under AddressSanitizer and UndefinedBehaviorSanitizer, with the lock order checked.
# timeout: 900
exec "$HELIX" test --sanitizer address

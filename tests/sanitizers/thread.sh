#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Unit tests and hosted scripts under ThreadSanitizer, with the lock order checked.
# timeout: 900
# long
exec "$HELIX" test --sanitizer thread

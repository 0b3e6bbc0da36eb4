#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# system/load_unload with ten thousand cycles in the emulated port too.
# long
# timeout: 600
export HELIX_CYCLES=10000
exec "$HELIX_ROOT/tests/system/load_unload.sh"

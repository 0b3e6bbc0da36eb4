#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# The kernel of the preset `debug`, which checks the order of its locks and the contexts of its functions while it runs,
# in both ports: one CPU and several, swaps, crashes, reloads, CPUs that come and go.
# timeout: 3600
# long
export HELIX_BUILD=debug
exec "$HELIX_ROOT/helix" test boot/minimal many_cpus@ scheduler_swap@ reload_ probation restart_ crashing_policies \
    hotplug_storm lies conflicts events@ timers@ unload_ allocator_swap

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The trace in words: for the shell, for panics, and as JSON for tools.
#pragma once

#include "kernel/console/text_sink.hpp"

namespace helix::kernel {

struct Kernel;

/// The last `count` entries of all CPUs, in the order of their times, a line each. Locks nothing; any context. What is
/// noted meanwhile may overwrite them, unless the trace is paused.
void print_trace(const Kernel& kernel, uint64_t count, TextSink& out);
/// The same as a JSON array, whose members docs/shell.md publishes.
void write_trace(const Kernel& kernel, uint64_t count, TextSink& out);
/// All of the trace in one line, as `helix trace` reads it: {"helix_trace":[...],"lost":N}.
void report_trace(const Kernel& kernel, TextSink& out);

}  // namespace helix::kernel

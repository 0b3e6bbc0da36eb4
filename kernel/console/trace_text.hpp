// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The trace in rows: for the shell, for panics, and as JSON for tools.
#pragma once

#include "kernel/console/listing.hpp"

namespace helix::kernel {

inline constexpr Column kTraceColumns[] = {
    {"TIME", Column::Align::Right, "time_ns"},   {"CPU", Column::Align::Right, "cpu"},
    {"KIND", Column::Align::Left, "kind"},       {"DETAIL", Column::Align::Left, "detail"},
    {"ID", Column::Align::Right, "id"},          {"NAME", Column::Align::Left, "name"},
    {"OTHER", Column::Align::Right, "other_id"}, {"NAME", Column::Align::Left, "other_name"}};

/// The last `count` entries of all CPUs, in the order of their times, as rows of `listing`, which has kTraceColumns.
/// Locks nothing; any context. What is noted meanwhile may overwrite them, unless the trace is paused.
void list_trace(const Kernel& kernel, uint64_t count, Listing& listing);
/// All of the trace in one line, as `helix trace` reads it: {"helix_trace":[...],"lost":N}.
void report_trace(const Kernel& kernel, TextSink& out);

}  // namespace helix::kernel

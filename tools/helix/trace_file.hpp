// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Trace files: what the kernel's trace becomes in the Chrome trace event format, which Perfetto opens too.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace helix::tool {

/// What the line begins with in which the kernel prints its whole trace.
inline constexpr std::string_view kTraceLine = "{\"helix_trace\":";

/// Passes a kernel's output on, but for the line with its trace, which is kept.
class TraceLineFilter {
public:
    /// What of `text`, and of what was held back before, is to be passed on.
    std::string feed(std::string_view text);
    /// What was held back, at the end.
    std::string finish();
    /// The line without its end; empty if none came.
    const std::string& line() const { return line_; }

private:
    std::string current_;  // the line that is coming, while it may be the one
    bool undecided_ = true;
    bool taking_ = false;
    std::string line_;
};

/// The file for the kernel's `line`: a lane for each CPU with a slice for each turn of a thread, wake-ups as flows,
/// transactions with their phases, and marks for what was swapped (where its commit began), failed or moved, and for
/// what is missing. Throws Failure(Failed) if the line is not what a kernel prints.
std::string make_trace_file(std::string_view line);

/// How many entries were overwritten before `file`, which make_trace_file made, could hold them.
uint64_t overwritten_entries(std::string_view file);

/// What is wrong with a trace file, in a sentence, or empty: slices of a lane that overlap, a slice of a thread that
/// was never created, a flow without an end, a call that ends before it began. `summary` is what it holds.
std::string trace_file_problem(std::string_view text, std::string& summary);

}  // namespace helix::tool

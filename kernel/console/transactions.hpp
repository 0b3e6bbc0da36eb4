// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What the history says of a reload or swap that a command asked for.
#pragma once

#include "kernel/console/commands.hpp"
#include "kernel/module/history.hpp"

namespace helix::kernel {

/// Prints record `id` of the history, as JSON or as a sentence that begins with `subject`, without a line break.
void print_transaction(Invocation& invocation, uint64_t id, Text subject);
/// reload of one module with --shadow.
Result<void> reload_after_trial(Invocation& invocation);
void write_trial_counts(JsonWriter& json, const TrialCounts& counts);
void write_record(JsonWriter& json, const HistoryRecord& record);

}  // namespace helix::kernel

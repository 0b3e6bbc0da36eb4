// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Transactions: what the history says of a reload or swap that a command asked for.
#pragma once

#include "kernel/console/commands.hpp"
#include "kernel/module/history.hpp"

namespace helix::kernel {

/// Stands around the call that makes the record, which is found among those added since.
class Transactions {
public:
    explicit Transactions(Kernel& kernel);
    /// Prints the newest record since, as JSON or in a line. `subject` is what the line begins with.
    void print_latest(Invocation& invocation, Text subject) const;

private:
    uint64_t before_ = 0;
};

void write_record(JsonWriter& json, const HistoryRecord& record);

}  // namespace helix::kernel

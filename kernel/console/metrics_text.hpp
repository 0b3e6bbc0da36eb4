// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What was counted of a module, as JSON and in lines.
#pragma once

#include "kernel/console/commands.hpp"
#include "kernel/module/record.hpp"

namespace helix::kernel {

/// The member `metrics` of `module --json`. The registry's lock held, here and below.
void write_metrics(JsonWriter& json, ModuleRecord& record);
/// The lines that `module` prints.
void print_metrics(Output& out, ModuleRecord& record);

}  // namespace helix::kernel

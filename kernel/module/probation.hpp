// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Probation: what is kept after a commit so that the previous modules can come back.
#pragma once

#include "kernel/module/replacement.hpp"

namespace helix::kernel {

/// Of one transaction.
struct Probation {
    bool active = false;
    uint64_t history_id = 0;  ///< of the first record
    uint64_t deadline_ns = 0;
    /// Of ordinary modules: who was replaced, with spares. All of them come back, or none.
    Replacements group;

    /// Of a swap among ordinary modules: whose primary slot goes back to `previous_record` if `record` fails.
    InterfaceRecord* interface = nullptr;

    // A scheduler: the policy that ruled before, mirrored and ready; it may be the same record's older instance.
    Instance* previous_policy = nullptr;
    // Of any swap.
    ModuleRecord* previous_record = nullptr;
    ModuleRecord* record = nullptr;   ///< whose instance is on trial
    FixedText<62> previous_file;      ///< after a reload: the file of the previous instance; else empty
    bool unload_on_rollback = false;  ///< the swap itself had loaded `record`

    /// Whether an instance in that place is on trial.
    bool is_of(const ModuleRecord& place) const { return record == &place || group.find(place) != nullptr; }
};

}  // namespace helix::kernel

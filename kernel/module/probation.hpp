// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Probation: what is kept after a commit so that the previous module can come back.
#pragma once

#include "helix/request.hpp"
#include "kernel/module/record.hpp"

namespace helix::kernel {

struct Probation {
    bool active = false;
    uint64_t history_id = 0;
    uint64_t deadline_ns = 0;
    ModuleRecord* record = nullptr;  ///< whose instance is on trial
    FixedText<62> previous_file;     ///< after a reload: the file of the previous instance; else empty
    /// A scheduler: the policy that ruled before, mirrored and ready; it may be the same record's older instance.
    Instance* previous_policy = nullptr;
    ModuleRecord* previous_record = nullptr;
    bool unload_on_rollback = false;  ///< the swap itself had loaded `record`
    /// Any other module: an initialised instance of the previous image, and the state with which it would start.
    Instance* spare = nullptr;
    Buffer state;
};

}  // namespace helix::kernel

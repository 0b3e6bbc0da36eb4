// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Canary: a scheduler that rules one CPU before it may rule all.
#pragma once

#include "kernel/module/history.hpp"

namespace helix::kernel {

struct Instance;

struct CanaryTerms {
    CpuId cpu = 0;
    uint64_t duration_ns = 0;
};

/// Lies with the thread that waits for its end; whoever ends it before leaves word here, with the change lock held.
struct Canary {
    Instance* instance = nullptr;
    Instance* ruling = nullptr;  ///< rules the other CPUs
    CpuId cpu = 0;
    uint64_t ended = 0;      ///< so many trials of schedulers had, when it began
    bool took_over = false;  ///< the other one failed, and it rules all CPUs
    FixedText<186> why;      ///< it did not come to rule
    FailureCause cause;      ///< if that was a failure of its own; else without a rule
    uint64_t evict_ns = 0;
};

}  // namespace helix::kernel

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

/// What became of a canary that did not rule until its time was over.
enum class CanaryEnd : uint8_t {
    Failed,     ///< it broke a rule; the other policy rules its CPU again
    TookOver,   ///< the other policy failed, and it rules all CPUs
    Displaced,  ///< both failed, or a third policy was to rule
    Stopped,    ///< the system stops
};
constexpr Text describe(CanaryEnd end) {
    constexpr Text kWords[] = {"it failed", "it took over", "another policy was to rule", "the system stops"};
    return kWords[static_cast<size_t>(end)];
}

/// Lies with the thread that waits for its end; whoever ends it before leaves word here, with the change lock held.
struct Canary {
    Instance* instance = nullptr;
    Instance* ruling = nullptr;  ///< rules the other CPUs
    CpuId cpu = 0;
    CanaryEnd end = CanaryEnd::Failed;
    // Of a failure:
    FixedText<186> why;
    FailureCause cause;
    uint64_t evict_ns = 0;
};

}  // namespace helix::kernel

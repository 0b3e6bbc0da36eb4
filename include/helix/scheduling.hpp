// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What a thread asks of whichever policy schedules it: a priority, and attributes.
#pragma once

#include "helix/types.hpp"

namespace helix {

/// Priorities run from 0 (least urgent) to 31 (most urgent); 16 is the default.
inline constexpr uint32_t kPriorityLevels = 32;
inline constexpr uint32_t kDefaultPriority = 16;

/// What a thread asks beyond its priority. A policy takes from it what it knows; all zero asks for nothing.
struct SchedulingAttributes {
    static constexpr uint32_t kUsualWeight = 1024;
    static constexpr uint32_t kMinimumWeight = 16;
    static constexpr uint32_t kMaximumWeight = 65'536;
    static constexpr uint64_t kMaximumPeriodNs = 10'000'000'000;
    static constexpr uint64_t kUntilItBlocks = UINT64_MAX;

    uint32_t weight = 0;  ///< its share beside others, between those two; 0: as its priority says
    uint32_t reserved = 0;
    /// With a period: the CPU time that it needs in each. Without one: for how long it would run at a time, at most
    /// kMaximumPeriodNs or kUntilItBlocks; 0: as the policy likes.
    uint64_t runtime_ns = 0;
    uint64_t deadline_ns = 0;  ///< so long after a period's begin it needs to have had it; 0: at the period's end
    uint64_t period_ns = 0;    ///< 0: it reserves nothing

    bool reserves() const { return period_ns != 0; }
    /// How long after a period's begin the runtime is due.
    uint64_t due_ns() const { return deadline_ns != 0 ? deadline_ns : period_ns; }
    /// Whether the numbers are within their limits, and a reservation is one: runtime <= deadline <= period.
    bool is_valid() const {
        if (weight != 0 && (weight < kMinimumWeight || weight > kMaximumWeight)) return false;
        if (reserved != 0 || period_ns > kMaximumPeriodNs) return false;
        if (!reserves()) return deadline_ns == 0 && (runtime_ns <= kMaximumPeriodNs || runtime_ns == kUntilItBlocks);
        return runtime_ns != 0 && runtime_ns <= due_ns() && due_ns() <= period_ns;
    }
};

}  // namespace helix

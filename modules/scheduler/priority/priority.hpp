// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Priority policy: 32 fixed priorities, first come first served within one; equals share by time slice.
//
// The order holds on all CPUs together: at each tick a CPU takes over who waits elsewhere and is more urgent than who
// runs here. So of all threads as many as there are CPUs run, and those the most urgent, a tick after the last came.
//
// Unlike round robin, a thread that a more urgent one preempted keeps its place at the head of its equals and the
// rest of its time slice. The starvation limit lets whoever waited longest run once; level_policy.hpp has the bound.
#pragma once

#include "../level_policy.hpp"

namespace helix::scheduling {

class PriorityPolicy : public LevelPolicy {
public:
    static constexpr Option kOptions[] = {
        Option::integer("time_slice_ms", 1, 1000, 10, "How long a thread runs before one of equal priority does"),
        Option::integer("starvation_limit_ms", 0, 60'000, 500,
                        "Who has waited this long runs once, whatever its priority; 0 is never"),
    };

    Result<void> init(const Context& context) override {
        const int64_t slice_ms = TRY(context.config_integer("time_slice_ms"));
        const int64_t limit_ms = TRY(context.config_integer("starvation_limit_ms"));
        configure(static_cast<uint64_t>(slice_ms) * kMillisecond, kPriorityLevels,
                  static_cast<uint64_t>(limit_ms) * kMillisecond);
        return {};
    }

    SchedulerTraits plug_in() override { return LevelPolicy::plug_in() | SchedulerTraits::OrdersAllCpus; }

protected:
    ~PriorityPolicy() = default;
    /// Who only ever runs between ticks has its turn all the same, and no more.
    bool resumes_its_slice(const SchedulerThread& thread) const override { return !has_had_its_turn(thread); }
};

}  // namespace helix::scheduling

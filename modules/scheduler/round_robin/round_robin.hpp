// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Round-robin policy: whoever becomes runnable goes to the end of its level, also after a preemption.
#pragma once

#include "../level_policy.hpp"

namespace helix::scheduling {

/// The policy without its name, so that odd policies for tests can start from one that works.
class RoundRobinPolicy : public LevelPolicy {
public:
    static constexpr Option kOptions[] = {
        Option::integer("time_slice_ms", 1, 1000, 10,
                        "How long a thread runs before the next of its level gets a turn"),
        Option::integer("priority_levels", 1, 32, 32, "Levels onto which the 32 priorities are mapped; 1 ignores them"),
        Option::integer("aging_ms", 0, 60'000, 200,
                        "Who has waited this long runs next, whatever its level; 0 is never"),
    };

    Result<void> init(const Context& context) override {
        const int64_t slice_ms = TRY(context.config_integer("time_slice_ms"));
        const int64_t levels = TRY(context.config_integer("priority_levels"));
        const int64_t aging_ms = TRY(context.config_integer("aging_ms"));
        configure(static_cast<uint64_t>(slice_ms) * kMillisecond, static_cast<uint32_t>(levels),
                  static_cast<uint64_t>(aging_ms) * kMillisecond);
        return {};
    }

protected:
    ~RoundRobinPolicy() = default;
    bool resumes_its_slice(const SchedulerThread&) const override { return false; }
};

}  // namespace helix::scheduling

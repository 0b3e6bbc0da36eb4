// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A scheduler that takes whoever came last never agrees with one that takes turns, where there is a choice.

#include "../odd_policy.hpp"

using namespace helix;

class SchedulerNewest final : public test_support::OddPolicy {
public:
    static constexpr auto kInfo =
        ModuleInfo{"scheduler-newest"}
            .version(1, 0, 0)
            .flags(ModuleFlags::Scheduler | ModuleFlags::HotReloadable | ModuleFlags::Experimental)
            .dependencies({"helix-execution >=1.0"})
            .provides({"helix.scheduler"});

    SchedulerThread* pick_next(SchedulerCpu& cpu) override {
        SchedulerThread* const thread = would_pick(cpu);
        if (thread != nullptr) dequeue(cpu, *thread, DequeueReason::Picked);
        return thread;
    }
    SchedulerThread* would_pick(SchedulerCpu& cpu) override {
        const auto& queue = queues(cpu);
        return queue.empty() ? nullptr : queue.last[queue.highest()];
    }
};
HELIX_MODULE(SchedulerNewest)

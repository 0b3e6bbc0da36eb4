// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A scheduler that gives the CPU back to whoever yields does not pass the conformance suite.

#include "../odd_policy.hpp"

class SchedulerKeepsYielder final : public helix::test_support::OddPolicy {
public:
    static constexpr auto kInfo =
        helix::ModuleInfo{"scheduler-keeps-yielder"}
            .version(1, 0, 0)
            .flags(helix::ModuleFlags::Scheduler | helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental)
            .dependencies({"helix-execution >=1.0"})
            .provides({"helix.scheduler"});

    helix::SchedulerThread* yield(helix::SchedulerCpu& cpu, helix::SchedulerThread& thread,
                                  helix::EnqueueReason reason) override {
        if (reason != helix::EnqueueReason::Yielded) return OddPolicy::yield(cpu, thread, reason);
        enqueue(cpu, thread, reason);
        dequeue(cpu, thread, helix::DequeueReason::Picked);
        ++counters(cpu).picks;
        return &thread;
    }
};
HELIX_MODULE(SchedulerKeepsYielder)

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A scheduler that spins with interrupts disabled in a pick, under a CPU's lock, is ended by another CPU.

#include "../odd_policy.hpp"

class SchedulerSpins final : public helix::test_support::OddPolicy {
public:
    static constexpr auto kInfo =
        helix::ModuleInfo{"scheduler-spins"}
            .version(1, 0, 0)
            .flags(helix::ModuleFlags::Scheduler | helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental)
            .dependencies({"helix-execution >=1.0"})
            .provides({"helix.scheduler"});
    static constexpr helix::Option kOptions[] = {
        RoundRobinPolicy::kOptions[0],
        RoundRobinPolicy::kOptions[1],
        RoundRobinPolicy::kOptions[2],
        helix::Option::integer("after", 0, 1'000'000'000, 0, "How many picks succeed before the one that spins"),
    };

    helix::Result<void> init(const helix::Context& context) override {
        left_ = TRY(context.config_integer("after"));
        return RoundRobinPolicy::init(context);
    }
    /// Called only while this policy rules: a mirrored one is told of picks by dequeue.
    helix::SchedulerThread* pick_next(helix::SchedulerCpu& cpu) override {
        // Once: if all CPUs did so at the same time nobody would be left to notice.
        if (__atomic_fetch_sub(&left_, 1, __ATOMIC_RELAXED) == 0)
            for (;;) asm volatile("cli" ::: "memory");
        return RoundRobinPolicy::pick_next(cpu);
    }

private:
    int64_t left_ = 0;
};
HELIX_MODULE(SchedulerSpins)

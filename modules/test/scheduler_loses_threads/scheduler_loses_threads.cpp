// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A scheduler that forgets threads cannot lose them: the kernel finds out and brings back the policy before it.

#include "../odd_policy.hpp"

class SchedulerLosesThreads final : public helix::test_support::OddPolicy {
public:
    static constexpr auto kInfo =
        helix::ModuleInfo{"scheduler-loses-threads"}
            .version(1, 0, 0)
            .flags(helix::ModuleFlags::Scheduler | helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental)
            .dependencies({"helix-execution >=1.0"})
            .provides({"helix.scheduler"});
    static constexpr helix::Option kOptions[] = {
        RoundRobinPolicy::kOptions[0],
        RoundRobinPolicy::kOptions[1],
        RoundRobinPolicy::kOptions[2],
        helix::Option::integer("every", 1, 1'000'000, 100, "While it rules, one of so many enqueues is forgotten"),
    };

    helix::Result<void> init(const helix::Context& context) override {
        every_ = static_cast<uint64_t>(TRY(context.config_integer("every")));
        return RoundRobinPolicy::init(context);
    }
    /// Behaves while it is mirrored; the first pick tells it that it rules.
    helix::SchedulerThread* pick_next(helix::SchedulerCpu& cpu) override {
        __atomic_store_n(&rules_, true, __ATOMIC_RELAXED);
        return RoundRobinPolicy::pick_next(cpu);
    }
    void enqueue(helix::SchedulerCpu& cpu, helix::SchedulerThread& thread, helix::EnqueueReason reason) override {
        const bool rules = __atomic_load_n(&rules_, __ATOMIC_RELAXED);
        if (rules && __atomic_add_fetch(&enqueues_, 1, __ATOMIC_RELAXED) % every_ == 0) return;
        RoundRobinPolicy::enqueue(cpu, thread, reason);
    }

private:
    uint64_t every_ = 100;
    uint64_t enqueues_ = 0;
    bool rules_ = false;
};
HELIX_MODULE(SchedulerLosesThreads)

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A scheduler that faults in a pick brings back the policy before it, with every thread.

#include "../odd_policy.hpp"

#ifndef SCHEDULER_NAME
#define SCHEDULER_NAME "scheduler-crashes"
#define SCHEDULER_VERSION 1
#endif

class SchedulerCrashes final : public helix::test_support::OddPolicy {
public:
    static constexpr auto kInfo =
        helix::ModuleInfo{SCHEDULER_NAME}
            .version(SCHEDULER_VERSION, 0, 0)
            .flags(helix::ModuleFlags::Scheduler | helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental)
            .dependencies({"helix-execution >=1.0"})
            .provides({"helix.scheduler"});
    static constexpr helix::Option kOptions[] = {
        RoundRobinPolicy::kOptions[0],
        RoundRobinPolicy::kOptions[1],
        RoundRobinPolicy::kOptions[2],
        helix::Option::integer("after", 0, 1'000'000'000, 0, "How many picks succeed before the one that faults"),
    };

    helix::Result<void> init(const helix::Context& context) override {
        left_ = TRY(context.config_integer("after"));
        return RoundRobinPolicy::init(context);
    }
    /// `crash`: the next pick faults, however many were to succeed.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type != "crash") return RoundRobinPolicy::handle_request(request);
        __atomic_store_n(&left_, 0, __ATOMIC_RELAXED);
        return helix::Response::ok_empty();
    }
    /// Called only while this policy rules: a mirrored one is told of picks by dequeue.
    helix::SchedulerThread* pick_next(helix::SchedulerCpu& cpu) override {
        if (__atomic_fetch_sub(&left_, 1, __ATOMIC_RELAXED) <= 0) asm volatile("ud2");
        return RoundRobinPolicy::pick_next(cpu);
    }

private:
    int64_t left_ = 0;
};
HELIX_MODULE(SchedulerCrashes)

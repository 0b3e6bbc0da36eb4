// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A scheduler that fails verification leaves the ruling one in place.

#include "../../scheduler/round_robin/round_robin.hpp"

class SchedulerUnhealthy final : public helix::scheduling::RoundRobinPolicy {
public:
    static constexpr auto kInfo =
        helix::ModuleInfo{"scheduler-unhealthy"}
            .version(1, 0, 0)
            .flags(helix::ModuleFlags::Scheduler | helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental)
            .dependencies({"helix-execution >=1.0"})
            .provides({"helix.scheduler"});
    static constexpr helix::Option kOptions[] = {
        RoundRobinPolicy::kOptions[0],
        RoundRobinPolicy::kOptions[1],
        RoundRobinPolicy::kOptions[2],
        helix::Option::string("what", "health", "What fails: health (is_healthy) or self_check"),
    };

    helix::Result<void> init(const helix::Context& context) override {
        const helix::Text what = TRY(context.config("what"));
        if (what != "health" && what != "self_check")
            return helix::Error(helix::ErrorCode::InvalidArgument, "option what is health or self_check");
        health_ = what == "health";
        return RoundRobinPolicy::init(context);
    }
    bool is_healthy() const override { return !health_ && RoundRobinPolicy::is_healthy(); }
    bool self_check(const helix::SchedulerCpu& cpu, const helix::SchedulerThread& thread) const override {
        return health_ && RoundRobinPolicy::self_check(cpu, thread);
    }

private:
    bool health_ = true;
};
HELIX_MODULE(SchedulerUnhealthy)

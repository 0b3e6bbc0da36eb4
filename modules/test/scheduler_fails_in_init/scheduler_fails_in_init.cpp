// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A scheduler whose init fails leaves the ruling one in place.

#include "../../scheduler/round_robin/round_robin.hpp"

class SchedulerFailsInInit final : public helix::scheduling::RoundRobinPolicy {
public:
    static constexpr auto kInfo =
        helix::ModuleInfo{"scheduler-fails-in-init"}
            .version(1, 0, 0)
            .flags(helix::ModuleFlags::Scheduler | helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental)
            .dependencies({"helix-execution >=1.0"})
            .provides({"helix.scheduler"});

    helix::Result<void> init(const helix::Context&) override {
        return helix::Error(helix::ErrorCode::InvalidState, "init fails on purpose");
    }
};
HELIX_MODULE(SchedulerFailsInInit)

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A scheduler that refuses the state of its predecessor leaves that one in place.

#include "../../scheduler/round_robin/round_robin.hpp"

class SchedulerFailsInRestore final : public helix::scheduling::RoundRobinPolicy {
public:
    static constexpr auto kInfo =
        helix::ModuleInfo{"scheduler-fails-in-restore"}
            .version(1, 0, 0)
            .flags(helix::ModuleFlags::Scheduler | helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental)
            .dependencies({"helix-execution >=1.0"})
            .provides({"helix.scheduler"});

    helix::Result<void> restore_state(helix::StateReader&, helix::Reason) override {
        return helix::Error(helix::ErrorCode::Corrupt, "restore fails on purpose");
    }
};
HELIX_MODULE(SchedulerFailsInRestore)

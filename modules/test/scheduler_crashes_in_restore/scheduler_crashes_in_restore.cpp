// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A scheduler that crashes over the state of its predecessor leaves that one in place, and is removed.

#include "../../scheduler/round_robin/round_robin.hpp"

class SchedulerCrashesInRestore final : public helix::scheduling::RoundRobinPolicy {
public:
    static constexpr auto kInfo =
        helix::ModuleInfo{"scheduler-crashes-in-restore"}
            .version(1, 0, 0)
            .flags(helix::ModuleFlags::Scheduler | helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental)
            .dependencies({"helix-execution >=1.0"})
            .provides({"helix.scheduler"});

    helix::Result<void> restore_state(helix::StateReader&, helix::Reason) override {
        asm volatile("ud2");
        return {};
    }
};
HELIX_MODULE(SchedulerCrashesInRestore)

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The module helix-scheduler-round-robin.

#include "round_robin.hpp"

class RoundRobin final : public helix::scheduling::RoundRobinPolicy {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"helix-scheduler-round-robin"}
                                      .version(1, 0, 0)
                                      .description("Time slices in turn, by priority level, with aging")
                                      .author("Helix contributors")
                                      .license("MIT OR Apache-2.0")
                                      .flags(helix::ModuleFlags::Scheduler | helix::ModuleFlags::HotReloadable)
                                      .dependencies({"helix-execution >=1.0"})
                                      .provides({"helix.scheduler"});
};
HELIX_MODULE(RoundRobin)

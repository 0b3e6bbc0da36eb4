// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The module helix-scheduler-priority.

#include "priority.hpp"

class Priority final : public helix::scheduling::PriorityPolicy {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"helix-scheduler-priority"}
                                      .version(1, 0, 0)
                                      .description("Fixed priorities, first come first served, with a starvation limit")
                                      .author("Helix contributors")
                                      .license("MIT OR Apache-2.0")
                                      .flags(helix::ModuleFlags::Scheduler | helix::ModuleFlags::HotReloadable)
                                      .dependencies({"helix-execution >=1.0"})
                                      .provides({"helix.scheduler"});
};
HELIX_MODULE(Priority)

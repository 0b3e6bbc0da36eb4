// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The module helix-scheduler-cooperative.

#include "cooperative.hpp"

class Cooperative final : public helix::scheduling::CooperativePolicy {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"helix-scheduler-cooperative"}
                                      .version(1, 0, 0)
                                      .description("First come, first served, until it blocks or yields")
                                      .author("Helix contributors")
                                      .license("MIT OR Apache-2.0")
                                      .flags(helix::ModuleFlags::Scheduler | helix::ModuleFlags::HotReloadable)
                                      .dependencies({"helix-execution >=1.0"})
                                      .provides({"helix.scheduler"});
};
HELIX_MODULE(Cooperative)

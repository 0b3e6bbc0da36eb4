// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The module helix-scheduler-fair.

#include "fair.hpp"

class Fair final : public helix::scheduling::FairPolicy {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"helix-scheduler-fair"}
                                      .version(1, 0, 0)
                                      .description("Shares by weight, earliest eligible virtual deadline first (EEVDF)")
                                      .author("Helix contributors")
                                      .license("MIT OR Apache-2.0")
                                      .flags(helix::ModuleFlags::Scheduler | helix::ModuleFlags::HotReloadable)
                                      .dependencies({"helix-execution >=1.0"})
                                      .provides({"helix.scheduler"});
};
HELIX_MODULE(Fair)

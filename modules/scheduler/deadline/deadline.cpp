// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The module helix-scheduler-deadline.

#include "deadline.hpp"

class Deadline final : public helix::scheduling::DeadlinePolicy {
public:
    static constexpr auto kInfo =
        helix::ModuleInfo{"helix-scheduler-deadline"}
            .version(1, 0, 0)
            .description("Reservations by earliest deadline, each a constant bandwidth server")
            .author("Helix contributors")
            .license("MIT OR Apache-2.0")
            .flags(helix::ModuleFlags::Scheduler | helix::ModuleFlags::HotReloadable)
            .dependencies({"helix-execution >=1.0"})
            .provides({"helix.scheduler"});
};
HELIX_MODULE(Deadline)

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A module that exports more than its descriptor is refused, and what it exports is named.

#include "helix/module.hpp"

extern "C" __attribute__((visibility("default"), used)) int function_for_all() {
    return 1;
}

class ExportsMore final : public helix::Module {
public:
    static constexpr auto kInfo =
        helix::ModuleInfo{"exports-more"}.version(1, 0, 0).flags(helix::ModuleFlags::Experimental);

    helix::Result<void> init(const helix::Context&) override { return {}; }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }
};
HELIX_MODULE(ExportsMore)

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A dependency that nobody provides is named, and the module is not loaded.

#include "helix/module.hpp"

class NeedsMissing final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"needs-missing"}
                                      .version(1, 0, 0)
                                      .flags(helix::ModuleFlags::Experimental)
                                      .dependencies({"no-such-module >=1"});

    helix::Result<void> init(const helix::Context&) override { return {}; }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }
};
HELIX_MODULE(NeedsMissing)

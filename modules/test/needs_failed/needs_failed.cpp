// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A module whose provider failed at boot is not started either, and the provider is named.

#include "helix/module.hpp"

class NeedsFailed final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"needs-failed"}
                                      .version(1, 0, 0)
                                      .flags(helix::ModuleFlags::Experimental)
                                      .dependencies({"fails-in-start"});

    helix::Result<void> init(const helix::Context& context) override {
        context.error("a module without its provider was run");
        return {};
    }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }
};
HELIX_MODULE(NeedsFailed)

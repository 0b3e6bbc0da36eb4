// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A module that calls a function it does not have is refused, and the function is named.

#include "helix/module.hpp"

extern "C" __attribute__((visibility("default"))) int function_of_nobody();

class UndefinedSymbol final : public helix::Module {
public:
    static constexpr auto kInfo =
        helix::ModuleInfo{"undefined-symbol"}.version(1, 0, 0).flags(helix::ModuleFlags::Experimental);

    helix::Result<void> init(const helix::Context& context) override {
        context.error("a module without its function was run {}", function_of_nobody());
        return {};
    }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }
};
HELIX_MODULE(UndefinedSymbol)

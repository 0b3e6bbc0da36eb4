// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// One of two implementors of test.greeter: it says bonjour.

#include "greeter.hpp"
#include "helix/module.hpp"

class GreeterFrench final : public helix::Implements<helix::test::Greeter> {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"greeter-french"}
                                      .version(1, 0, 0)
                                      .flags(helix::ModuleFlags::Experimental)
                                      .provides({"test.greeter"});

    helix::Result<void> init(const helix::Context&) override { return {}; }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }

    uint64_t greet(helix::MutableBytes out) override { return helix::test::write_greeting("bonjour", out); }
};
HELIX_MODULE(GreeterFrench)

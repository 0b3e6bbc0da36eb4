// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A dependency cycle is reported with the whole chain: this one needs cycle-b, which needs this one.

#include "helix/module.hpp"

class CycleA final : public helix::Module {
public:
    static constexpr auto kInfo =
        helix::ModuleInfo{"cycle-a"}.version(1, 0, 0).flags(helix::ModuleFlags::Experimental).dependencies({"cycle-b"});

    helix::Result<void> init(const helix::Context&) override { return {}; }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }
};
HELIX_MODULE(CycleA)

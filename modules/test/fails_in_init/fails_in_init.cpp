// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A module whose init fails is never started, and nothing of it is left.

#include "helix/module.hpp"

class FailsInInit final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"fails-in-init"}.version(1, 0, 0).flags(
        helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental);

    helix::Result<void> init(const helix::Context& context) override {
        void* left_behind = ::operator new(1000);  // on purpose: the ledger gives it back
        context.info("init takes memory and fails {}", left_behind != nullptr);
        return helix::Error(helix::ErrorCode::InvalidState, "init fails on purpose");
    }
    helix::Result<void> start() override { return helix::Error(helix::ErrorCode::InvalidState, "start was called"); }
    helix::Result<void> stop() override { return helix::Error(helix::ErrorCode::InvalidState, "stop was called"); }
};
HELIX_MODULE(FailsInInit)

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A module whose start fails is not stopped, but destroyed, and nothing of it is left.

#include "helix/module.hpp"

class FailsInStart final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"fails-in-start"}.version(1, 0, 0).flags(
        helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental);

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override {
        const auto semaphore = TRY(context_->semaphore_create(0));
        TRY(context_->subscribe("fails-in-start"));
        TRY(context_->semaphore_destroy(semaphore));
        return helix::Error(helix::ErrorCode::InvalidState, "start fails on purpose");
    }
    helix::Result<void> stop() override {
        context_->error("stop was called although start failed");
        return {};
    }

private:
    const helix::Context* context_ = nullptr;
};
HELIX_MODULE(FailsInStart)

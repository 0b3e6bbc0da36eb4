// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A stop that does not return is ended: one that uses the CPU by its budget, one that waits after five seconds.

#include "helix/module.hpp"

class HangsInStop final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"hangs-in-stop"}.version(1, 0, 0).flags(
        helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental);
    static constexpr helix::Option kOptions[] = {
        helix::Option::string("how", "spin", "spin: uses the CPU for ever; wait: waits for what never comes"),
    };

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        const helix::Text how = TRY(context.config("how"));
        if (how != "spin" && how != "wait")
            return helix::Error(helix::ErrorCode::InvalidArgument, "option how is spin or wait");
        spins_ = how == "spin";
        return {};
    }
    helix::Result<void> start() override {
        never_ = TRY(context_->semaphore_create(0));
        return {};
    }
    helix::Result<void> stop() override {
        while (spins_) asm volatile("");
        return context_->semaphore_wait(never_);
    }

private:
    const helix::Context* context_ = nullptr;
    helix::SemaphoreId never_ = helix::SemaphoreId::None;
    bool spins_ = true;
};
HELIX_MODULE(HangsInStop)

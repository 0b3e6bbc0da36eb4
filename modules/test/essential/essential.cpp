// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The kernel panics, and says why, when an essential module fails for good; such a module cannot be unloaded.

#include "helix/module.hpp"

class Essential final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"essential"}
                                      .version(1, 0, 0)
                                      .description("Cannot be done without")
                                      .license("MIT OR Apache-2.0")
                                      .flags(helix::ModuleFlags::Essential | helix::ModuleFlags::Experimental);
    static constexpr helix::Option kOptions[] = {
        helix::Option::string("fails_in", "nothing", "init, start or nothing"),
    };

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        fails_in_start_ = TRY(context.config("fails_in")) == "start";
        if (TRY(context.config("fails_in")) != "init") return {};
        return helix::Error(helix::ErrorCode::InvalidState, "init fails on purpose");
    }
    helix::Result<void> start() override {
        if (!fails_in_start_) return {};
        return helix::Error(helix::ErrorCode::InvalidState, "start fails on purpose");
    }
    helix::Result<void> stop() override { return {}; }

    /// `fail`: gives up.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type == "fail") context_->abort("told to fail");
        return helix::ErrorCode::NotImplemented;
    }

private:
    const helix::Context* context_ = nullptr;
    bool fails_in_start_ = false;
};
HELIX_MODULE(Essential)

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The smallest useful module: it greets. Copy this folder to start one of your own.

#include "helix/module.hpp"

class Template final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"template"}
                                      .version(1, 0, 0)
                                      .description("Greets")
                                      .license("MIT OR Apache-2.0")
                                      .flags(helix::ModuleFlags::HotReloadable);

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override {
        context_->info("hello");
        return {};
    }
    helix::Result<void> stop() override { return {}; }

    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type == "greet") return helix::Response::ok("hello");
        return helix::ErrorCode::NotImplemented;
    }

private:
    const helix::Context* context_ = nullptr;
};
HELIX_MODULE(Template)

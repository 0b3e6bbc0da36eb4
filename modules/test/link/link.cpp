// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A link of a chain of modules. In stop it asks the one that it needs, which must be there still.

#include "helix/module.hpp"

class Link final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{LINK_NAME}
#if defined(LINK_OLD)
                                      .version(0, 9, 0)
#else
                                      .version(1, 2, 3)
#endif
#if defined(LINK_ESSENTIAL)
                                      .flags(helix::ModuleFlags::Experimental | helix::ModuleFlags::Essential)
#else
                                      .flags(helix::ModuleFlags::Experimental | helix::ModuleFlags::HotReloadable)
#endif
#if defined(LINK_B)
                                      .dependencies({"link-a >=1"})
                                      .provides({"test.link"});
#elif defined(LINK_C) || defined(LINK_ESSENTIAL)
                                      .dependencies({"test.link >=1"});
#elif defined(LINK_RIVAL)
                                      .conflicts({"test.link >=1"});
#else
    ;
#endif

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override {
        if (kInfo.dependencies().size() == 0) return {};
        const helix::Text needed =
            kInfo.dependencies()[0].starts_with("link-a") ? helix::Text("link-a") : helix::Text("link-b");
        (void)TRY(context_->request(needed, {"ping"}));
        context_->log<helix::Text>(helix::LogLevel::Warning, "asked {} for the last time", needed);
        return {};
    }
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type == "crash") __builtin_trap();
        return helix::Response::ok("pong");
    }

private:
    const helix::Context* context_ = nullptr;
};
HELIX_MODULE(Link)

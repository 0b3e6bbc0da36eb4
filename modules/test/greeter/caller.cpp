// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A handle to an interface leads to its primary implementor, whoever that is; a handle to a module to that one alone.
// greeter-caller-1-1 is the same, but needs version 1.1 of the interface.

#include "greeter.hpp"
#include "helix/module.hpp"

using helix::test::Greeter;

class GreeterCaller final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{CALLER_NAME}
                                      .version(1, 0, 0)
                                      .flags(helix::ModuleFlags::Experimental)
                                      .dependencies({"test.greeter"});

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        primary_ = TRY(context.bind<Greeter>());
        return {};
    }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override {
        primary_ = {};
        return {};
    }

    /// `primary`: what the handle bound in init answers. `release` gives that handle up, `bind [MODULE]` gets it again,
    /// or one to that very module, and `part` calls the method through it that 1.1 appended. `ask MODULE`: what that
    /// implementor answers. `list`: the name of the primary implementor, then all of them.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type == "primary") return greeting(primary_);
        if (request.request_type == "release") {
            primary_ = {};
            return helix::Response::ok_empty();
        }
        if (request.request_type == "bind") {
            primary_ = TRY(context_->bind<Greeter>(helix::as_text(request.payload)));
            return helix::Response::ok_empty();
        }
#if GREETER_MINOR >= 1
        if (request.request_type == "part") {
            uint8_t text[16];
            const uint64_t size = TRY(primary_.call<&Greeter::part>(helix::MutableBytes(text, sizeof(text))));
            return helix::Response::ok(helix::as_text(helix::Bytes(text, size)));
        }
#endif
        if (request.request_type == "list") {
            const auto primary = TRY(context_->get_primary("test.greeter"));
            helix::FixedText<200> out;
            out.assign(helix::format("{}:", primary.text()).text());
            context_->get_implementors(
                "test.greeter", [&](helix::Text name) { out.assign(helix::format("{} {}", out.text(), name).text()); });
            return helix::Response::ok(out.text());
        }
        if (request.request_type != "ask") return helix::ErrorCode::NotImplemented;
        const helix::Handle<Greeter> handle = TRY(context_->bind<Greeter>(helix::as_text(request.payload)));
        return greeting(handle);
    }

private:
    static helix::Result<helix::Response> greeting(const helix::Handle<Greeter>& handle) {
        uint8_t text[16];
        const uint64_t size = TRY(handle.call<&Greeter::greet>(helix::MutableBytes(text, sizeof(text))));
        return helix::Response::ok(helix::as_text(helix::Bytes(text, size)));
    }

    const helix::Context* context_ = nullptr;
    helix::Handle<Greeter> primary_;
};
HELIX_MODULE(GreeterCaller)

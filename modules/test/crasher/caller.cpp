// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A caller of a method that fails gets an error, and goes on.

#include "crashing.hpp"
#include "helix/module.hpp"

using helix::test::Crashing;

class CrasherCaller final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"crasher-caller"}
                                      .version(1, 0, 0)
                                      .flags(helix::ModuleFlags::Experimental)
                                      .dependencies({"crasher"});

    helix::Result<void> init(const helix::Context& context) override {
        crashing_ = TRY(context.bind<Crashing>());
        return {};
    }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override {
        crashing_ = {};
        return {};
    }

    /// `blocking HOW`, `bounded HOW`: calls that method; what comes of it is the response, or the error.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        const bool bounded = request.request_type == "bounded";
        if (!bounded && request.request_type != "blocking") return helix::ErrorCode::NotImplemented;
        const auto called = bounded ? crashing_.call<&Crashing::crash_bounded>(request.payload)
                                    : crashing_.call<&Crashing::crash_blocking>(request.payload);
        if (!called.ok())
            return helix::Response::err(helix::format("the caller got: {}", called.error().sentence()).text());
        return helix::Response::ok("it came back");
    }

private:
    helix::Handle<Crashing> crashing_;
};
HELIX_MODULE(CrasherCaller)

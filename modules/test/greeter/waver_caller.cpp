// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// An interface that a module stops implementing, or begins to, is seen by those who bind it: one who does when asked
// to.

#include "helix/module.hpp"
#include "waver.hpp"

using helix::test::Waver;

class WaverCaller final : public helix::Module {
public:
    static constexpr auto kInfo =
        helix::ModuleInfo{"waver-caller"}.version(1, 0, 0).flags(helix::ModuleFlags::Experimental);

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override {
        handle_ = {};
        return {};
    }

    /// `bind`: a handle to the primary implementor; `bind MODULE`: to that one. `wave`: calls. `release`: gives it up.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type == "bind") {
            handle_ = TRY(context_->bind<Waver>(helix::as_text(request.payload)));
            return helix::Response::ok("bound");
        }
        if (request.request_type == "wave") {
            const uint64_t count = TRY(handle_.call<&Waver::wave>());
            return helix::Response::ok(helix::format<40>("waved {}", count).text());
        }
        if (request.request_type != "release") return helix::ErrorCode::NotImplemented;
        handle_ = {};
        return helix::Response::ok("released");
    }

private:
    const helix::Context* context_ = nullptr;
    helix::Handle<Waver> handle_;
};
HELIX_MODULE(WaverCaller)

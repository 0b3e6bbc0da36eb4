// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// One module that implements test.greeter in the version that the build names; on request it crashes. One of them has
// somebody else bind the interface while it starts.

#include "greeter.hpp"
#include "helix/module.hpp"

#ifdef GREETER_WAVES
#include "waver.hpp"
using Interfaces = helix::Implements<helix::test::Greeter, helix::test::Waver>;
#else
using Interfaces = helix::Implements<helix::test::Greeter>;
#endif

class GreeterVersioned final : public Interfaces {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"greeter-versioned"}
                                      .version(GREETER_MAJOR, GREETER_MINOR, 0)
                                      .flags(helix::ModuleFlags::Experimental | helix::ModuleFlags::HotReloadable)
#ifdef GREETER_WAVES
                                      .provides({"test.greeter", "test.waver"});
#else
                                      .provides({"test.greeter"});
#endif

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
#ifdef GREETER_ASKS
    helix::Result<void> start() override {
        (void)context_->request(GREETER_ASKS, {"bind"}).ok();
        return {};
    }
#else
    helix::Result<void> start() override { return {}; }
#endif
    helix::Result<void> stop() override { return {}; }
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type == "crash") context_->abort("on request");
        return helix::ErrorCode::NotImplemented;
    }

#ifdef GREETER_WAVES
    uint64_t wave() override { return ++waved_; }
    bool is_healthy() const override { return GREETER_WAVES == 1; }
#endif
#if GREETER_MAJOR >= 2
    uint64_t count_greetings(uint64_t first, uint64_t last) override { return last - first; }
#endif
    uint64_t greet(helix::MutableBytes out) override { return helix::test::write_greeting("ahoy", out); }
#if GREETER_MINOR >= 1
    uint64_t part(helix::MutableBytes out) override { return helix::test::write_greeting("farewell", out); }
#endif

private:
    const helix::Context* context_ = nullptr;
#ifdef GREETER_WAVES
    uint64_t waved_ = 0;
#endif
};
HELIX_MODULE(GreeterVersioned)

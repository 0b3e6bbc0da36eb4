// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A user of an interface that needs one major version of it: it is replaced together with the provider, or not at all.

#include "helix/module.hpp"
#include "pair.hpp"

using helix::test::Pair;

class PairUser final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"pair-user"}
                                      .version(PAIR_MAJOR, 0, 0)
                                      .flags(helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental)
#if PAIR_MAJOR >= 2
                                      .dependencies({"test.pair ^2"});
#else
                                      .dependencies({"test.pair ^1"});
#endif

    /// Binds the primary implementor, and the provider by its name.
    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        primary_ = TRY(context.bind<Pair>());
        named_ = TRY(context.bind<Pair>("pair-provider"));
        return {};
    }
    helix::Result<void> start() override {
#ifdef PAIR_ASKS
        TRY(primary_.call<&Pair::count>());
#endif
        return {};
    }
    helix::Result<void> stop() override {
        primary_ = {};
        named_ = {};
        lingering_.cancel();
        return {};
    }
    bool is_healthy() const override {
#ifdef PAIR_UNWELL
        return false;
#else
        return true;
#endif
    }

    /// `ask`: the version that both sides speak, and the provider's count, through each handle. `linger`: a request is
    /// under way from then on, until the module is held, and calls the provider then. `crash` crashes.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type == "crash") __builtin_trap();
        if (request.request_type == "linger") {
            lingering_ = TRY(context_->start_request("pair-user", {"until held", {}}));
            return helix::Response::ok_empty();
        }
        if (request.request_type == "until held") {
            while (context_->thread_sleep(1'000'000).ok()) {
            }
            TRY(primary_.call<&Pair::count>());
            return helix::Response::ok_empty();
        }
        if (request.request_type != "ask") return helix::ErrorCode::NotImplemented;
#if PAIR_MAJOR >= 2
        const uint64_t version = TRY(primary_.call<&Pair::version>()) - 1'000'000;
#else
        const uint64_t version = PAIR_MAJOR;
#endif
        const uint64_t first = TRY(primary_.call<&Pair::count>());
        const uint64_t second = TRY(named_.call<&Pair::count>());
        return helix::Response::ok(helix::format<60>("version {}, counted {} and {}", version, first, second).text());
    }

private:
    const helix::Context* context_ = nullptr;
    helix::Handle<Pair> primary_;
    helix::Handle<Pair> named_;
    helix::PendingRequest lingering_;
};
HELIX_MODULE(PairUser)

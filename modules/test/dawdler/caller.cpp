// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Calls test.dawdler from a thread of its own, for which nobody waits in a request that has a limit.
//
// Another build of it calls as soon as it starts.

#include "dawdler.hpp"

#include "helix/module.hpp"

using helix::test::Dawdler;
using helix::test::DawdlerBetween;

#ifndef CALLER_NAME
#define CALLER_NAME "dawdler-caller"
#endif

class DawdlerCaller final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{CALLER_NAME}
                                      .version(1, 0, 0)
                                      .flags(helix::ModuleFlags::Experimental)
                                      .dependencies({"test.dawdler", "test.dawdler_between"});

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        dawdler_ = TRY(context.bind<Dawdler>());
        between_ = TRY(context.bind<DawdlerBetween>());
        return {};
    }
    helix::Result<void> start() override {
#ifdef CALLER_STARTS
        TRY(dawdler_.call<&Dawdler::wait>());
#endif
        return {};
    }
    helix::Result<void> stop() override {
        dawdler_ = {};
        between_ = {};
        return {};
    }
    /// As it is said to, once: it asks another module in order to know.
    bool is_healthy() const override {
        if (__atomic_exchange_n(&worries_, false, __ATOMIC_RELAXED)) (void)dawdler_.call<&Dawdler::wait>().ok();
        return true;
    }

    /// `wait`, `loop`, `spin`, `doze`; `pass_on_wait`, `pass_on_loop`: a thread calls that, and what it got. `naps N`:
    /// it naps so often in a row. `rests N`: the same with rests. `glances N`: so often, and for longer than any call
    /// into the module may take. `begin`: it is patient; `end`: what it got in the end. `worry`: the next time that it
    /// is asked for its health it waits.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        const helix::Text type = request.request_type;
        if (type == "wait") return outcome_of(&call<&Dawdler::wait>);
        if (type == "loop") return outcome_of(&call<&Dawdler::loop>);
        if (type == "spin") return outcome_of(&call<&Dawdler::spin>);
        if (type == "doze") return outcome_of(&call<&Dawdler::doze>);
        if (type == "pass_on_wait") return outcome_of(&call<&DawdlerBetween::pass_on_wait>);
        if (type == "pass_on_loop") return outcome_of(&call<&DawdlerBetween::pass_on_loop>);
        if (type == "worry") {
            __atomic_store_n(&worries_, true, __ATOMIC_RELAXED);
            return helix::Response::ok_empty();
        }
        if (type == "begin") {
            patient_ = TRY(context_->thread_create("patient", be_patient, this));
            return helix::Response::ok_empty();
        }
        if (type == "end") {
            TRY(context_->thread_join(patient_));
            return helix::Response::ok(helix::format<60>("after {} failures", patience_).text());
        }
        if (type != "naps" && type != "rests" && type != "glances") return helix::ErrorCode::NotImplemented;
        if (!helix::parse_unsigned(helix::as_text(request.payload), wanted_))
            return helix::Response::err("how often is a number");
        if (type == "rests") return outcome_of(&many<&Dawdler::rest>);
        return outcome_of(type == "naps" ? &many<&Dawdler::nap> : &many<&Dawdler::glance>);
    }

private:
    static constexpr uint64_t kLongNs = 1'000'000'000;

    template <auto Method>
    static void call(void* argument) {
        auto& self = *static_cast<DawdlerCaller*>(argument);
        if constexpr (std::is_same_v<typename helix::MethodOf<Method>::Owner, Dawdler>)
            self.finish(self.dawdler_.call<Method>());
        else
            self.finish(self.between_.call<Method>());
    }
    template <auto Method>
    static void many(void* argument) {
        auto& self = *static_cast<DawdlerCaller*>(argument);
        const uint64_t begin_ns = self.context_->now_ns();
        uint64_t done = 0;
        for (uint64_t i = 0; i < self.wanted_ || self.context_->now_ns() - begin_ns < kLongNs; ++i) {
            const auto one = self.dawdler_.call<Method>();
            if (!one.ok()) return self.finish(one);
            done += one.value();
        }
        self.finish(done < self.wanted_ ? done : self.wanted_);
    }
    static void be_patient(void* argument) {
        auto& self = *static_cast<DawdlerCaller*>(argument);
        self.patience_ = self.between_.call<&DawdlerBetween::be_patient>().value_or(UINT64_MAX);
    }
    void finish(const helix::Result<uint64_t>& result) {
        if (result.ok())
            outcome_.assign(helix::format<100>("{}", result.value()).text());
        else
            outcome_.assign(result.error().sentence().substr(0, outcome_.capacity()));
    }
    helix::Result<helix::Response> outcome_of(helix::ThreadEntry entry) {
        const helix::ThreadId thread = TRY(context_->thread_create("on its own", entry, this));
        TRY(context_->thread_join(thread));
        return helix::Response::ok(helix::format<120>("it got: {}", outcome_).text());
    }

    const helix::Context* context_ = nullptr;
    helix::Handle<Dawdler> dawdler_;
    helix::Handle<DawdlerBetween> between_;
    helix::ThreadId patient_ = helix::ThreadId::None;
    uint64_t patience_ = 0;
    helix::FixedText<100> outcome_;
    uint64_t wanted_ = 0;
    mutable bool worries_ = false;
};
HELIX_MODULE(DawdlerCaller)

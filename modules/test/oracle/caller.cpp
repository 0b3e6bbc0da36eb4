// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Asks test.oracle without pause, from a thread of its own, and knows the answers.

#include "helix/module.hpp"
#include "oracle.hpp"

using helix::test::Oracle;

class OracleCaller final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"oracle-caller"}
                                      .version(1, 0, 0)
                                      .flags(helix::ModuleFlags::Experimental)
                                      .dependencies({"test.oracle"});

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        oracle_ = TRY(context.bind<Oracle>());
        return {};
    }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override {
        if (begun_) TRY(end());
        oracle_ = {};
        return {};
    }

    /// `begin`: a thread asks; `begin teaching`: and teaches now and then; `begin killing`: and another
    /// kills it once a trial has begun. `ended`: it ends; how often it was answered,
    /// and how often wrongly. `poke`: counts; `poked`: how often.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        const helix::Text type = request.request_type;
        if (type == "begin") {
            if (begun_) return helix::ErrorCode::Busy;
            teaches_ = !request.payload.empty();
            kills_ = helix::as_text(request.payload) == "killing";
            __atomic_store_n(&goes_on_, true, __ATOMIC_RELAXED);
            thread_ = TRY(context_->thread_create("asker", thread_main, this));
            begun_ = true;
            if (kills_) killer_ = TRY(context_->thread_create("killer", killer_main, this));
            return helix::Response::ok_empty();
        }
        if (type == "ended") {
            if (begun_) TRY(end());
            return helix::Response::ok(
                helix::format<60>("{}, {} wrong", rounds_ == 0 ? "never asked" : "asked", wrong_).text());
        }
        if (type == "poke") ++poked_;
        if (type == "poke" || type == "poked") return helix::Response::ok(helix::format<20>("poked {}", poked_).text());
        return helix::ErrorCode::NotImplemented;
    }

private:
    helix::Result<void> end() {
        __atomic_store_n(&goes_on_, false, __ATOMIC_RELAXED);
        TRY(context_->thread_join(thread_));
        if (kills_) TRY(context_->thread_join(killer_));
        begun_ = false;
        return {};
    }
    static void thread_main(void* argument) {
        auto& self = *static_cast<OracleCaller*>(argument);
        while (__atomic_load_n(&self.goes_on_, __ATOMIC_RELAXED)) {
            self.wrong_ += self.ask(self.rounds_++) ? 0 : 1;
            self.context_->thread_yield();
        }
    }
    static void killer_main(void* argument) {
        auto& self = *static_cast<OracleCaller*>(argument);
        if (self.oracle_.call<&Oracle::await_hold>().ok()) (void)self.context_->request("oracle", {"crash"}).ok();
    }
    bool ask(uint64_t round) {
        const auto twice = oracle_.call<&Oracle::twice>(round % 16);
        const auto remembered = oracle_.call<&Oracle::remembered>("seer");
        const auto nobody = oracle_.call<&Oracle::remembered>("");
        uint8_t text[4] = {};
        const auto digits = oracle_.call<&Oracle::spell>(uint64_t{42}, helix::MutableBytes(text));
        const bool remembers = remembered.ok() && remembered.value() == 4 + 2 * learned_;
        if (teaches_ && round % 64 == 0) learned_ += oracle_.call<&Oracle::learn>(uint64_t{1}).ok() ? 1 : 0;
        return twice.ok() && twice.value() == 2 * (round % 16) && remembers && !nobody.ok() && digits.ok() &&
               digits.value() == 2 && text[2] == '4' && text[3] == '2';
    }

    const helix::Context* context_ = nullptr;
    helix::Handle<Oracle> oracle_;
    helix::ThreadId thread_ = helix::ThreadId::None;
    helix::ThreadId killer_ = helix::ThreadId::None;
    bool begun_ = false;
    bool goes_on_ = false;
    bool teaches_ = false;
    bool kills_ = false;
    uint64_t rounds_ = 0;
    uint64_t wrong_ = 0;
    uint64_t learned_ = 0;
    uint64_t poked_ = 0;
};
HELIX_MODULE(OracleCaller)

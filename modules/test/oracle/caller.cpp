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
    /// kills it once a trial has begun; `begin interrupting`: it asks what takes time, and another one teaches or hints
    /// while it waits for the answer, every now and then. `ended`: it ends; how often it was answered,
    /// and how often wrongly. `poke`: counts; `poked`: how often.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        const helix::Text type = request.request_type;
        if (type == "begin") {
            if (begun_) return helix::ErrorCode::Busy;
            teaches_ = !request.payload.empty();
            kills_ = helix::as_text(request.payload) == "killing";
            interrupts_ = helix::as_text(request.payload) == "interrupting";
            __atomic_store_n(&goes_on_, true, __ATOMIC_RELAXED);
            thread_ = TRY(context_->thread_create("asker", thread_main, this));
            begun_ = true;
            if (kills_) other_ = TRY(context_->thread_create("killer", killer_main, this));
            if (interrupts_) other_ = TRY(context_->thread_create("interrupter", interrupter_main, this));
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
        if (kills_ || interrupts_) TRY(context_->thread_join(other_));
        begun_ = false;
        return {};
    }
    static void thread_main(void* argument) {
        auto& self = *static_cast<OracleCaller*>(argument);
        while (__atomic_load_n(&self.goes_on_, __ATOMIC_RELAXED)) {
            const uint64_t round = self.rounds_++;
            if (self.interrupts_)
                self.ponder(round);
            else
                self.wrong_ += self.ask(round) ? 0 : 1;
            self.context_->thread_yield();
        }
    }
    static void killer_main(void* argument) {
        auto& self = *static_cast<OracleCaller*>(argument);
        if (self.oracle_.call<&Oracle::await_hold>().ok()) (void)self.context_->request("oracle", {"crash"}).ok();
    }
    static void interrupter_main(void* argument) {
        auto& self = *static_cast<OracleCaller*>(argument);
        while (__atomic_load_n(&self.goes_on_, __ATOMIC_RELAXED)) {
            const uint64_t round = __atomic_exchange_n(&self.pondering_, 0, __ATOMIC_RELAXED);
            if (round % 24 == 12) (void)self.oracle_.call<&Oracle::learn>(uint64_t{1}).ok();
            if (round % 4 == 3) (void)self.oracle_.call<&Oracle::hint>(uint64_t{1}).ok();
            self.context_->thread_yield();
        }
    }
    void ponder(uint64_t round) {
        __atomic_store_n(&pondering_, round, __ATOMIC_RELAXED);
        wrong_ += oracle_.call<&Oracle::pondered>().ok() ? 0 : 1;
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
    helix::ThreadId other_ = helix::ThreadId::None;
    bool begun_ = false;
    bool goes_on_ = false;
    bool teaches_ = false;
    bool kills_ = false;
    bool interrupts_ = false;
    uint64_t pondering_ = 0;  // the round that waits for its answer
    uint64_t rounds_ = 0;
    uint64_t wrong_ = 0;
    uint64_t learned_ = 0;
    uint64_t poked_ = 0;
};
HELIX_MODULE(OracleCaller)

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A module's timers never signal too early, nor twice for one time; those with a period keep step, however late their
// times are seen; and what comes due while the module's state is taken is seen by the instance whose timer it is.
//
// Version 3 fails in start.

#include "helix/module.hpp"

class Ticker final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"ticker"}
                                      .version(TICKER_VERSION, 0, 0)
                                      .flags(helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental);

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override {
        if (TICKER_VERSION == 3) return helix::Error(helix::ErrorCode::InvalidState, "start fails on purpose");
        tick_ = TRY(context_->semaphore_create(0));
        bell_ = TRY(context_->semaphore_create(0));
        return period_ns_ == 0 ? helix::Result<void>() : begin_ticking();
    }
    helix::Result<void> stop() override {
        __atomic_store_n(&ending_, true, __ATOMIC_RELEASE);
        if (timer_ != helix::TimerId::None) TRY(context_->timer_stop(timer_));
        TRY(context_->semaphore_signal(tick_));
        TRY(context_->semaphore_signal(bell_));
        for (helix::ThreadId thread : {ticker_, listener_})
            if (thread != helix::ThreadId::None) TRY(context_->thread_join(thread));
        TRY(join());
        TRY(context_->semaphore_destroy(tick_));
        return context_->semaphore_destroy(bell_);
    }

    helix::Result<void> save_state(helix::StateWriter& state) override {
        TRY(state.put("period_ns", period_ns_));
        TRY(state.put("ticks", load(ticks_)));
        if (!armed_) return {};
        const uint64_t over_ns = context_->now_ns() + 500'000;
        TRY(context_->timer_start(bell_, 10'000));
        while (context_->now_ns() < over_ns) {
        }
        early_bell_ = load(heard_) != 0;
        return {};
    }
    helix::Result<void> restore_state(helix::StateReader& state, helix::Reason) override {
        period_ns_ = TRY(state.get_unsigned("period_ns"));
        ticks_ = TRY(state.get_unsigned("ticks"));
        return {};
    }

    /// `every NS`: from now on a thread counts the times of a timer with that period. `ticks N` waits for so many more,
    /// and says how many of all came too early, and how late the last one was by the timer's own step. `once NS` waits
    /// for a timer without a period. `missed NS`: how many of ten times are left to take when nobody took one.
    /// `start NS` starts 32 threads that wait for a timer each, each a little longer than the one before; `wait` waits
    /// for them. `arm`: save_state sets a timer, and does not end before that was due; a thread waits for it, and
    /// `heard` for that thread. `refused` tries what cannot be. `crash` does so.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        uint64_t number = 0;
        const bool has_number = helix::parse_unsigned(helix::as_text(request.payload), number);
        const helix::Text type = request.request_type;
        if (type == "every" && has_number && period_ns_ == 0) {
            period_ns_ = number;
            TRY(begin_ticking());
        } else if (type == "ticks" && has_number) {
            for (const uint64_t enough = load(ticks_) + number; load(ticks_) < enough;)
                TRY(context_->thread_sleep(1'000'000));
            return helix::Response::ok(
                helix::format("{{\"early\":{},\"late_ns\":{}}}", load(early_), load(late_ns_)).text());
        } else if (type == "once" && has_number) {
            return once(number);
        } else if (type == "missed" && has_number) {
            return missed(number);
        } else if (type == "start" && has_number) {
            TRY(join());
            for (uint64_t i = 0; i < kWaits; ++i) {
                waits_[i] = {context_, number + i * 100'000};
                threads_[i] = TRY(context_->thread_create("waits", wait_main, &waits_[i]));
            }
            for (const Wait& wait : waits_)
                while (load(wait.started) == 0) TRY(context_->thread_sleep(100'000));
        } else if (type == "wait") {
            TRY(join());
            uint64_t woke = 0, early = 0;
            for (const Wait& wait : waits_) {
                woke += wait.woke_ns != 0;
                early += wait.woke_ns < wait.due_ns;
            }
            return helix::Response::ok(helix::format("{{\"woke\":{},\"early\":{}}}", woke, early).text());
        } else if (type == "arm") {
            armed_ = true;
            listener_ = TRY(context_->thread_create("listener", listen_main, this));
        } else if (type == "heard") {
            while (load(heard_) == 0) TRY(context_->thread_sleep(1'000'000));
            return helix::Response::ok(early_bell_ ? helix::Text("heard too early") : helix::Text("heard in time"));
        } else if (type == "refused") {
            return refused();
        } else if (type == "crash") {
            __builtin_trap();
        } else {
            return helix::ErrorCode::NotImplemented;
        }
        return helix::Response::ok_empty();
    }

private:
    static constexpr uint64_t kWaits = 32;
    struct Wait {
        const helix::Context* context = nullptr;
        uint64_t duration_ns = 0;
        uint64_t due_ns = 0;
        uint64_t woke_ns = 0;
        uint64_t started = 0;  // atomic
    };

    static uint64_t load(const uint64_t& value) { return __atomic_load_n(&value, __ATOMIC_ACQUIRE); }
    static void store(uint64_t& value, uint64_t is) { __atomic_store_n(&value, is, __ATOMIC_RELEASE); }

    helix::Result<void> begin_ticking() {
        begin_ns_ = context_->now_ns();
        timer_ = TRY(context_->timer_start(tick_, period_ns_, period_ns_));
        ticker_ = TRY(context_->thread_create("ticker", tick_main, this));
        return {};
    }
    static void tick_main(void* self) {
        auto& ticker = *static_cast<Ticker*>(self);
        for (uint64_t taken = 1; ticker.context_->semaphore_wait(ticker.tick_).ok(); ++taken) {
            if (__atomic_load_n(&ticker.ending_, __ATOMIC_ACQUIRE)) return;
            const uint64_t passed_ns = ticker.context_->now_ns() - ticker.begin_ns_;
            // Times may be missed, so that this is a later one than the number of those that were taken; never earlier.
            if (passed_ns < taken * ticker.period_ns_) store(ticker.early_, ticker.early_ + 1);
            store(ticker.late_ns_, passed_ns % ticker.period_ns_);
            store(ticker.ticks_, ticker.ticks_ + 1);
        }
    }
    static void listen_main(void* self) {
        auto& ticker = *static_cast<Ticker*>(self);
        if (ticker.context_->semaphore_wait(ticker.bell_).ok()) store(ticker.heard_, 1);
    }
    static void wait_main(void* argument) {
        auto& wait = *static_cast<Wait*>(argument);
        const auto semaphore = wait.context->semaphore_create(0);
        wait.due_ns = wait.context->now_ns() + wait.duration_ns;
        const bool has_timer = semaphore.ok() && wait.context->timer_start(semaphore.value(), wait.duration_ns).ok();
        store(wait.started, 1);
        if (!has_timer) return;
        if (wait.context->semaphore_wait(semaphore.value()).ok()) wait.woke_ns = wait.context->now_ns();
        (void)wait.context->semaphore_destroy(semaphore.value()).ok();
    }
    helix::Result<void> join() {
        for (helix::ThreadId& thread : threads_) {
            if (thread != helix::ThreadId::None) TRY(context_->thread_join(thread));
            thread = helix::ThreadId::None;
        }
        return {};
    }
    helix::Result<helix::Response> once(uint64_t duration_ns) {
        const helix::SemaphoreId semaphore = TRY(context_->semaphore_create(0));
        const uint64_t due_ns = context_->now_ns() + duration_ns;
        const helix::TimerId timer = TRY(context_->timer_start(semaphore, duration_ns));
        TRY(context_->semaphore_wait(semaphore));
        const uint64_t woke_ns = context_->now_ns();
        const bool is_over = is(helix::ErrorCode::NotFound, context_->timer_stop(timer));
        const bool once = is(helix::ErrorCode::TimedOut, context_->semaphore_wait(semaphore, 0));
        TRY(context_->semaphore_destroy(semaphore));
        return helix::Response::ok(helix::format("{{\"early\":{},\"over\":{},\"once\":{},\"latest_ns\":{}}}",
                                                 woke_ns < due_ns ? 1 : 0, is_over ? 1 : 0, once ? 1 : 0,
                                                 woke_ns - due_ns)
                                       .text());
    }
    helix::Result<helix::Response> missed(uint64_t period_ns) {
        const helix::SemaphoreId semaphore = TRY(context_->semaphore_create(0));
        const helix::TimerId timer = TRY(context_->timer_start(semaphore, 0, period_ns));
        TRY(context_->thread_sleep(10 * period_ns));
        TRY(context_->timer_stop(timer));
        uint64_t units = 0;
        while (context_->semaphore_wait(semaphore, 0).ok()) ++units;
        TRY(context_->semaphore_destroy(semaphore));
        return helix::Response::ok(helix::format("{{\"units\":{}}}", units).text());
    }
    helix::Result<helix::Response> refused() {
        const helix::SemaphoreId semaphore = TRY(context_->semaphore_create(0));
        const bool no_semaphore =
            is(helix::ErrorCode::NotFound, context_->timer_start(helix::SemaphoreId::None, 1'000'000));
        const bool too_short = is(helix::ErrorCode::OutOfRange,
                                  context_->timer_start(semaphore, 0, helix::Context::kShortestPeriodNs - 1)) &&
                               is(helix::ErrorCode::OutOfRange, context_->timer_start(semaphore, 0, UINT64_MAX));
        const helix::TimerId never = TRY(context_->timer_start(semaphore, UINT64_MAX));
        // Numbers of the one are none of the other's.
        const bool no_timer =
            is(helix::ErrorCode::NotFound, context_->timer_stop(static_cast<helix::TimerId>(semaphore))) &&
            is(helix::ErrorCode::NotFound, context_->semaphore_signal(static_cast<helix::SemaphoreId>(never)));
        const bool in_use = is(helix::ErrorCode::Busy, context_->semaphore_destroy(semaphore));
        TRY(context_->timer_stop(never));
        const bool stopped = is(helix::ErrorCode::NotFound, context_->timer_stop(never));
        TRY(context_->semaphore_destroy(semaphore));
        const bool all = no_semaphore && too_short && no_timer && in_use && stopped;
        return all ? helix::Response::ok("all refused") : helix::Response::err("something was not refused");
    }
    template <typename T>
    static bool is(helix::ErrorCode code, const helix::Result<T>& result) {
        return !result.ok() && result.error().code() == code;
    }

    const helix::Context* context_ = nullptr;
    uint64_t period_ns_ = 0;
    uint64_t begin_ns_ = 0;
    uint64_t ticks_ = 0;  // this and the next: of the thread that counts; atomic
    uint64_t early_ = 0;
    uint64_t late_ns_ = 0;
    uint64_t heard_ = 0;  // atomic
    bool armed_ = false;
    bool early_bell_ = false;
    bool ending_ = false;  // atomic
    Wait waits_[kWaits];
    helix::SemaphoreId tick_ = helix::SemaphoreId::None;
    helix::SemaphoreId bell_ = helix::SemaphoreId::None;
    helix::TimerId timer_ = helix::TimerId::None;
    helix::ThreadId ticker_ = helix::ThreadId::None;
    helix::ThreadId listener_ = helix::ThreadId::None;
    helix::ThreadId threads_[kWaits] = {};
};
HELIX_MODULE(Ticker)

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Calls test.waiter through one handle, from threads of its own, while what is behind it is replaced.

#include "waiter.hpp"

#include "helix/module.hpp"

using helix::test::Waiter;

class WaiterCaller final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"waiter-caller"}
                                      .version(1, 0, 0)
                                      .flags(helix::ModuleFlags::Experimental)
                                      .dependencies({"test.waiter"});

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        waiter_ = TRY(context.bind<Waiter>());
        return {};
    }
    helix::Result<void> start() override {
        answered_ = TRY(context_->semaphore_create(0));
        return {};
    }
    helix::Result<void> stop() override {
        waiter_ = {};
        return context_->semaphore_destroy(answered_);
    }

    /// `listen`, `insist`, `wait` (the request): a thread begins that call. `answer`: waits for its end and gives what
    /// it gave. `version`, `version_once`: calls, and gives what that gave. `count N`: N threads begin to count without
    /// pause. `counted`: they end; how often they were answered, how often a call failed, and whether the waiter
    /// counted as far. `compute`: the same as `listen`, on a thread that is less urgent than all others. `compete N`: N
    /// threads of ordinary urgency compute without end, until `yield`. `stay N`: N threads call `stays` without pause;
    /// `stayed`: they end, and whether the waiter always stayed until it had answered. `answered`: whether there is an
    /// answer.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        const helix::Text type = request.request_type;
        if (type == "listen") return begin(listen_main);
        if (type == "insist") return begin(insist_main);
        if (type == "wait") return begin(wait_main);
        if (type == "answer") {
            TRY(context_->semaphore_wait(answered_));
            return helix::Response::ok(answer_.text());
        }
        if (type == "version") return number(TRY(waiter_.call<&Waiter::version>()));
        if (type == "version_once") return number(TRY(waiter_.call<&Waiter::version_once>()));
        if (type == "count") return begin_to_count(request.payload);
        if (type == "counted") return end_to_count();
        if (type == "compute") return begin(compute_main, kLeastUrgent);
        if (type == "compete") return begin_threads(request.payload, compete_main);
        if (type == "yield") return end_threads();
        if (type == "stay") return begin_to_stay(request.payload);
        if (type == "stayed") return end_to_stay();
        if (type == "answered") return number(__atomic_load_n(&answers_, __ATOMIC_ACQUIRE));
        return helix::ErrorCode::NotImplemented;
    }

private:
    static constexpr uint64_t kMaximumCounters = 16;

    static helix::Response number(uint64_t value) { return helix::Response::ok(helix::format<20>("{}", value).text()); }

    static constexpr uint32_t kLeastUrgent = 2;
    static constexpr uint32_t kOrdinary = 16;

    helix::Result<helix::Response> begin(helix::ThreadEntry entry, uint32_t priority = kOrdinary) {
        TRY(context_->thread_create("waiter", entry, this, priority));
        return helix::Response::ok_empty();
    }
    void finish(const helix::Result<uint64_t>& result) {
        if (result.ok())
            answer_.assign(helix::format<100>("version {}", result.value()).text());
        else
            answer_.assign(result.error().sentence().substr(0, answer_.capacity()));
        __atomic_fetch_add(&answers_, 1, __ATOMIC_RELEASE);
        (void)context_->semaphore_signal(answered_).ok();
    }
    static void listen_main(void* self) {
        auto& caller = *static_cast<WaiterCaller*>(self);
        caller.finish(caller.waiter_.call<&Waiter::listen>());
    }
    static void insist_main(void* self) {
        auto& caller = *static_cast<WaiterCaller*>(self);
        caller.finish(caller.waiter_.call<&Waiter::insist>());
    }
    static void compute_main(void* self) {
        auto& caller = *static_cast<WaiterCaller*>(self);
        caller.finish(caller.waiter_.call<&Waiter::compute>());
    }
    static void compete_main(void* self) {
        auto& caller = *static_cast<WaiterCaller*>(self);
        while (__atomic_load_n(&caller.counting_, __ATOMIC_RELAXED)) (void)caller.context_->now_ns();
    }
    static void wait_main(void* self) {
        auto& caller = *static_cast<WaiterCaller*>(self);
        caller.finish([&]() -> helix::Result<uint64_t> {
            const helix::Response response = TRY(caller.context_->request("waiter", {"wait"}));
            uint64_t version = 0;
            if (!response.is_ok() || !helix::parse_unsigned(helix::as_text(response.payload().bytes()), version))
                return helix::Error(helix::ErrorCode::Corrupt, "no number came back");
            return version;
        }());
    }

    helix::Result<helix::Response> begin_threads(helix::Bytes payload, helix::ThreadEntry entry) {
        uint64_t threads = 0;
        if (!helix::parse_unsigned(helix::as_text(payload), threads) || threads == 0 || threads > kMaximumCounters)
            return helix::Response::err("N threads: N is 1 to 16");
        counting_ = true;
        for (; counters_ < threads; ++counters_)
            counter_[counters_] = TRY(context_->thread_create("counter", entry, this, kOrdinary));
        return helix::Response::ok_empty();
    }
    helix::Result<helix::Response> end_threads() {
        __atomic_store_n(&counting_, false, __ATOMIC_RELAXED);
        while (counters_ > 0) TRY(context_->thread_join(counter_[--counters_]));
        return helix::Response::ok_empty();
    }
    helix::Result<helix::Response> begin_to_count(helix::Bytes payload) {
        calls_ = failures_ = 0;
        return begin_threads(payload, count_main);
    }
    helix::Result<helix::Response> end_to_count() {
        (void)TRY(end_threads());
        const helix::Response response = TRY(context_->request("waiter", {"counted"}));
        uint64_t counted = 0;
        if (!helix::parse_unsigned(helix::as_text(response.payload().bytes()), counted))
            return helix::Response::err("the waiter does not say how far it counted");
        const bool equal = counted == calls_ && calls_ > 0;
        return helix::Response::ok(
            helix::format<100>("{} calls, {} failed, {}", calls_, failures_, equal ? "none lost" : "lost").text());
    }
    static void count_main(void* self) {
        auto& caller = *static_cast<WaiterCaller*>(self);
        while (__atomic_load_n(&caller.counting_, __ATOMIC_RELAXED)) {
            const bool ok = caller.waiter_.call<&Waiter::count>().ok();
            __atomic_fetch_add(ok ? &caller.calls_ : &caller.failures_, 1, __ATOMIC_RELAXED);
        }
    }

    helix::Result<helix::Response> begin_to_stay(helix::Bytes payload) {
        calls_ = failures_ = 0;
        return begin_threads(payload, stay_main);
    }
    helix::Result<helix::Response> end_to_stay() {
        (void)TRY(end_threads());
        return helix::Response::ok(helix::format<100>("{} calls, {} were left", calls_, failures_).text());
    }
    static void stay_main(void* self) {
        auto& caller = *static_cast<WaiterCaller*>(self);
        while (__atomic_load_n(&caller.counting_, __ATOMIC_RELAXED)) {
            const auto stayed = caller.waiter_.call<&Waiter::stays>();
            const bool well = stayed.ok() && stayed.value();
            __atomic_fetch_add(well ? &caller.calls_ : &caller.failures_, 1, __ATOMIC_RELAXED);
        }
    }

    const helix::Context* context_ = nullptr;
    helix::Handle<Waiter> waiter_;
    helix::SemaphoreId answered_ = helix::SemaphoreId::None;
    helix::FixedText<100> answer_;
    helix::ThreadId counter_[kMaximumCounters] = {};
    uint64_t counters_ = 0;
    bool counting_ = false;
    uint64_t calls_ = 0;
    uint64_t failures_ = 0;
    uint64_t answers_ = 0;
};
HELIX_MODULE(WaiterCaller)

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Callers that sleep inside a module go on in the next one when it is replaced, and none of their calls is lost.
//
// Built as versions 1, 2 and 3; `version` and `version_once` of 3 crash.

#include "waiter.hpp"

#include "helix/module.hpp"

class WaiterModule final : public helix::Implements<helix::test::Waiter> {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"waiter"}
                                      .version(WAITER_VERSION, 0, 0)
                                      .flags(helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental)
                                      .provides({"test.waiter"});

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override {
        spoken_ = TRY(context_->semaphore_create(0));
        called_ = TRY(context_->semaphore_create(0));
        return {};
    }
    helix::Result<void> stop() override {
        __atomic_store_n(&stopped_, true, __ATOMIC_RELAXED);
        TRY(context_->semaphore_destroy(called_));
        return context_->semaphore_destroy(spoken_);
    }

    helix::Result<void> save_state(helix::StateWriter& state) override { return state.put("counted", counted_); }
    helix::Result<void> restore_state(helix::StateReader& state, helix::Reason) override {
        counted_ = TRY(state.get_unsigned("counted"));
        return {};
    }

    helix::Result<uint64_t> listen() override {
        TRY(context_->semaphore_signal(called_));
        TRY(context_->semaphore_wait(spoken_));
        return WAITER_VERSION;
    }
    helix::Result<uint64_t> insist() override {
        TRY(context_->semaphore_signal(called_));
        while (!context_->semaphore_wait(spoken_).ok()) {
        }
        return WAITER_VERSION;
    }
    helix::Result<uint64_t> count() override { return __atomic_add_fetch(&counted_, 1, __ATOMIC_RELAXED); }
    helix::Result<uint64_t> version() override {
        if (WAITER_VERSION == 3) asm volatile("ud2");
        return WAITER_VERSION;
    }
    helix::Result<uint64_t> version_once() override { return version(); }
    helix::Result<uint64_t> compute() override {
        TRY(context_->semaphore_signal(called_));
        for (uint32_t i = 0; i < 1'000; ++i) {
            (void)context_->now_ns();  // a point where replay may go on elsewhere
            for (uint32_t k = 0; k < 20'000; ++k) asm volatile("");
        }
        return WAITER_VERSION;
    }

    bool stays() override {
        bool stopped = false;
        for (uint32_t i = 0; i < 200'000; ++i) stopped |= __atomic_load_n(&stopped_, __ATOMIC_RELAXED);
        return !stopped;
    }

    /// `speak`: one `listen` or `insist` hears it. `wait`: the same as `listen`, as a request. `called`: waits until
    /// one more `listen`, `insist` or `compute` has begun. `counted`: the counter.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type == "speak") {
            TRY(context_->semaphore_signal(spoken_));
            return helix::Response::ok_empty();
        }
        if (request.request_type == "wait") return number(TRY(listen()));
        if (request.request_type == "called") {
            TRY(context_->semaphore_wait(called_));
            return helix::Response::ok_empty();
        }
        if (request.request_type == "counted") return number(__atomic_load_n(&counted_, __ATOMIC_RELAXED));
        return helix::ErrorCode::NotImplemented;
    }

private:
    static helix::Response number(uint64_t value) { return helix::Response::ok(helix::format<20>("{}", value).text()); }

    const helix::Context* context_ = nullptr;
    helix::SemaphoreId spoken_ = helix::SemaphoreId::None;
    helix::SemaphoreId called_ = helix::SemaphoreId::None;
    uint64_t counted_ = 0;
    bool stopped_ = false;
};
HELIX_MODULE(WaiterModule)

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What dies comes back with what it had: its kept memory, and the state that was saved last. Others like it take its
// place with that state, and fail where their names say.

#include "phoenix.hpp"

#include "helix/module.hpp"

#ifndef PHOENIX_FAILS
#define PHOENIX_FAILS ""  // or "restore", "start", "health"
#endif

class PhoenixModule final : public helix::Implements<helix::test::Phoenix> {
public:
    static constexpr auto kInfo = helix::ModuleInfo{PHOENIX_NAME}
                                      .version(1, 0, 0)
                                      .flags(helix::ModuleFlags::HotReloadable | helix::ModuleFlags::RestoresStale |
                                             helix::ModuleFlags::Experimental)
                                      .provides({"test.phoenix"})
#ifdef PHOENIX_FORMAT
                                      .state_format(PHOENIX_FORMAT)
#endif
                                      .state_schema(PHOENIX_SCHEMA);

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override {
        kept_ = TRY(context_->kept_memory<Kept>("ashes"));
        if (kept_->crippled) asm volatile("ud2");
        TRY(fail_if("start"));
        never_ = TRY(context_->semaphore_create(0));
        // What a successor must not find still there.
        thread_ = TRY(context_->thread_create(
            "phoenix", [](void* self) { static_cast<PhoenixModule*>(self)->wait_for_ever(); }, this));
        return context_->subscribe("poke");
    }
    helix::Result<void> stop() override {
        TRY(context_->semaphore_signal(never_));
        TRY(context_->thread_join(thread_));
        return context_->semaphore_destroy(never_);
    }

    helix::Result<void> save_state(helix::StateWriter& state) override {
        if (saving_ == Saving::Dies) asm volatile("ud2");
        if (saving_ == Saving::Refused) return helix::Error(helix::ErrorCode::Busy, "not now");
        TRY(state.put("total", kept_->total));
        // Over what it has just written: a writer begins with its buffer.
        if (saving_ == Saving::Spoiled)
            for (uint8_t& byte : reinterpret_cast<helix::MutableBytes&>(state).subspan(5, 6)) byte = 0xFF;
        __atomic_fetch_add(&kept_->saves, 1, __ATOMIC_RELAXED);
        return {};
    }
    helix::Result<void> restore_state(helix::StateReader& state, helix::Reason reason) override {
        saved_ = TRY(state.get_unsigned("total"));
        constexpr helix::Text kReasons[] = {"reload", "rollback", "crash"};
        why_ = kReasons[static_cast<size_t>(reason)];
        return fail_if("restore");
    }
    bool is_healthy() const override { return !sick_ && fail_if("health").ok(); }
    helix::EventResponse handle_event(const helix::Event&) override {
        ++pokes_;
        return helix::EventResponse::handled();
    }

    /// `add N`, `get`; `die`; `hang`: waits for what never comes; `arm`: the next `total` dies; `sicken`: is not
    /// healthy from now on; `cripple`: dies, and whoever comes back dies as well as long as kept memory is what it was;
    /// `refuse`, `spoil`, `die_saving`: what it does from now on when it is asked for its state.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        const helix::Text type = request.request_type;
        if (type == "add") {
            uint64_t amount = 0;
            if (!helix::parse_unsigned(helix::as_text(request.payload), amount))
                return helix::Response::err("add N: N is a number");
            kept_->total += amount;
            return helix::Response::ok_empty();
        }
        if (type == "get")
            return helix::Response::ok(helix::format<120>(R"({{"kept":{},"saved":{},"why":"{}","pokes":{}}})",
                                                          kept_->total, saved_, why_, pokes_)
                                           .text());
        if (type == "hang") {
            TRY(hang());
            return helix::Response::ok_empty();
        }
        if (type == "arm") {
            armed_ = true;
            return helix::Response::ok_empty();
        }
        if (type == "sicken") {
            sick_ = true;
            return helix::Response::ok_empty();
        }
        if (type == "refuse" || type == "spoil" || type == "die_saving") {
            saving_ = type == "refuse" ? Saving::Refused : type == "spoil" ? Saving::Spoiled : Saving::Dies;
            return helix::Response::ok_empty();
        }
        if (type == "cripple") kept_->crippled = true;
        if (type == "cripple" || type == "die") asm volatile("ud2");
        return helix::ErrorCode::NotImplemented;
    }

    helix::Result<uint64_t> total() override {
        if (armed_) asm volatile("ud2");
        return kept_->total;
    }
    helix::Result<uint64_t> die() override {
        asm volatile("ud2");
        return uint64_t{0};
    }
    helix::Result<uint64_t> hang() override {
        __atomic_fetch_add(&kept_->hangs, 1, __ATOMIC_RELAXED);
        wait_for_ever();
        return uint64_t{0};
    }
    helix::Result<uint64_t> ring() override {
        const auto caller = TRY(context_->bind<helix::test::PhoenixCaller>());
        TRY(caller.call<&helix::test::PhoenixCaller::answer>());
        return die();
    }
    uint64_t hangs() const override { return __atomic_load_n(&kept_->hangs, __ATOMIC_RELAXED); }
    uint64_t saves() const override { return __atomic_load_n(&kept_->saves, __ATOMIC_RELAXED); }

private:
    enum class Saving : uint8_t { Well, Refused, Spoiled, Dies };
    struct Kept {
        uint64_t total = 0;
        uint64_t hangs = 0;
        uint64_t saves = 0;
        bool crippled = false;
    };

    static helix::Result<void> fail_if(helix::Text where) {
        if (where != PHOENIX_FAILS) return {};
        return helix::Error(helix::ErrorCode::InvalidState, "fails on purpose");
    }
    void wait_for_ever() { (void)context_->semaphore_wait(never_).ok(); }

    const helix::Context* context_ = nullptr;
    Kept* kept_ = nullptr;
    helix::SemaphoreId never_ = helix::SemaphoreId::None;
    helix::ThreadId thread_ = helix::ThreadId::None;
    helix::Text why_ = "nothing";
    uint64_t saved_ = 0;
    uint64_t pokes_ = 0;
    Saving saving_ = Saving::Well;
    bool armed_ = false;
    bool sick_ = false;
};
HELIX_MODULE(PhoenixModule)

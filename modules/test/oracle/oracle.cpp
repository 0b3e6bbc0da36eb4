// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A trial lets a module take over that answers as the one before, and no other. The build says how this one differs.

#include "oracle.hpp"

#include "../greeter/greeter.hpp"
#include "helix/module.hpp"

#ifndef ORACLE_DIFFERS
#define ORACLE_DIFFERS ""  // "wrong", "crashes", "hangs", "reaches-out", "starts-thread"
#endif

class Oracle final : public helix::Implements<helix::test::Oracle> {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"oracle"}
                                      .version(ORACLE_VERSION, 0, 0)
                                      .flags(helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental)
                                      .provides({"test.oracle"});

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        if (kDiffers == "reaches-out") greeter_ = TRY(context.bind<helix::test::Greeter>());
        return {};
    }
    helix::Result<void> start() override {
        kept_ = TRY(context_->kept_memory<uint64_t>("learned"));
        never_ = TRY(context_->semaphore_create(0));
        if (kDiffers == "starts-thread") (void)TRY(context_->thread_create("oracle", thread_main, this));
        return {};
    }
    helix::Result<void> stop() override {
        greeter_ = {};
        return context_->semaphore_destroy(never_);
    }
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type == "crash") __builtin_trap();
        return helix::ErrorCode::NotImplemented;
    }
    helix::Result<void> save_state(helix::StateWriter& state) override {
        TRY(state.put("learned", learned_));
        TRY(state.put("hinted", hinted_));
        for (int i = 0; i < 100; ++i) (void)context_->now_ns();  // under replay others may hint
        return {};
    }
    helix::Result<void> restore_state(helix::StateReader& state, helix::Reason) override {
        learned_ = TRY(state.get_unsigned("learned"));
        hinted_ = TRY(state.get_unsigned("hinted"));
        return {};
    }

    uint64_t twice(uint64_t number) override {
        if (kDiffers == "hangs")
            for (volatile bool goes_on = true; goes_on;) {
            }
        return 2 * number + (kDiffers == "wrong" ? 1 : 0);
    }
    helix::Result<uint64_t> remembered(helix::Text name) override {
        if (name.empty()) return helix::ErrorCode::NotFound;
        if (kDiffers == "crashes") asm volatile("ud2");
        if (kDiffers == "reaches-out" && reaches_anybody()) return uint64_t{0};
        return *kept_ + learned_ + name.size();
    }
    uint64_t spell(uint64_t number, helix::MutableBytes out) override {
        uint64_t count = 0;
        do {
            if (count == out.size()) break;
            out[out.size() - ++count] = static_cast<uint8_t>('0' + number % 10);
            number /= 10;
        } while (number != 0);
        return count;
    }
    helix::Result<void> learn(uint64_t number) override {
        learned_ += number;
        *kept_ += number;
        return {};
    }

    uint64_t pondered() override {
        for (int i = 0; i < 16; ++i) context_->thread_yield();
        return learned_ + hinted_;
    }
    void hint(uint64_t number) override { hinted_ += number; }

    helix::Result<void> await_hold() override {
        if (was_held_) return {};
        const auto waited = context_->semaphore_wait(never_);
        was_held_ = !waited.ok() && waited.error().code() == helix::ErrorCode::Restart;
        return waited;
    }

private:
    static constexpr helix::Text kDiffers = ORACLE_DIFFERS;

    static void thread_main(void*) {}
    /// Whether anything of what it tries gets through to others.
    bool reaches_anybody() {
        uint8_t text[8];
        return greeter_.call<&helix::test::Greeter::greet>(helix::MutableBytes(text)).ok() ||
               context_->emit("oracle-out").ok() || context_->request("oracle-caller", {"poke"}).ok() ||
               context_->start_request("oracle-caller", {"poke"}).ok() ||
               context_->thread_create("oracle", thread_main, this).ok();
    }

    const helix::Context* context_ = nullptr;
    helix::Handle<helix::test::Greeter> greeter_;
    uint64_t* kept_ = nullptr;
    uint64_t learned_ = 0;
    uint64_t hinted_ = 0;
    helix::SemaphoreId never_ = helix::SemaphoreId::None;
    bool was_held_ = false;
};
HELIX_MODULE(Oracle)

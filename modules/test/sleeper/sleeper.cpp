// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Sleepers wake when their time has come, not before it, and on any CPU; so do those who wait in vain.

#include "helix/module.hpp"

class Sleeper final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"sleeper"}
                                      .version(1, 0, 0)
                                      .description("Sleeps, and says when it woke")
                                      .license("MIT OR Apache-2.0")
                                      .flags(helix::ModuleFlags::Experimental);

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return join(); }

    /// `sleep NS` sleeps and says how much later it woke; `wait_in_vain NS` does the same at a semaphore that nobody
    /// signals. `start NS` starts 32 threads that sleep, each a little longer than the one before, beginning with NS;
    /// `wait` waits for them and says how many woke, how many too early, and the most that one was late.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        uint64_t duration_ns = 0;
        const bool has_number = helix::parse_unsigned(helix::as_text(request.payload), duration_ns);
        if (request.request_type == "sleep" && has_number) {
            Sleep sleep{context_, duration_ns};
            run(&sleep);
            return answer(1, sleep.woke_ns < sleep.due_ns, sleep.woke_ns - sleep.due_ns);
        }
        if (request.request_type == "wait_in_vain" && has_number) {
            const helix::SemaphoreId nobody_signals = TRY(context_->semaphore_create(0));
            const uint64_t due_ns = context_->now_ns() + duration_ns;
            const auto waited = context_->semaphore_wait(nobody_signals, duration_ns);
            const uint64_t woke_ns = context_->now_ns();
            TRY(context_->semaphore_destroy(nobody_signals));
            if (waited.ok() || waited.error().code() != helix::ErrorCode::TimedOut)
                return helix::Error(helix::ErrorCode::InvalidState, "the wait ended otherwise than by its time-out");
            return answer(1, woke_ns < due_ns, woke_ns - due_ns);
        }
        if (request.request_type == "start" && has_number) {
            TRY(join());
            for (uint64_t i = 0; i < kThreads; ++i) {
                sleeps_[i] = Sleep{context_, duration_ns + i * 100'000};
                threads_[i] = TRY(context_->thread_create("sleeper", run, &sleeps_[i]));
            }
            return helix::Response::ok_empty();
        }
        if (request.request_type != "wait") return helix::ErrorCode::NotImplemented;
        TRY(join());
        uint64_t woke = 0, early = 0, latest_ns = 0;
        for (const Sleep& sleep : sleeps_) {
            if (sleep.woke_ns == 0) continue;
            ++woke;
            early += sleep.woke_ns < sleep.due_ns;
            if (sleep.woke_ns > sleep.due_ns + latest_ns) latest_ns = sleep.woke_ns - sleep.due_ns;
        }
        return answer(woke, early, latest_ns);
    }

private:
    static constexpr uint64_t kThreads = 32;
    struct Sleep {
        const helix::Context* context = nullptr;
        uint64_t duration_ns = 0;
        uint64_t due_ns = 0;
        uint64_t woke_ns = 0;
    };

    static void run(void* argument) {
        auto& sleep = *static_cast<Sleep*>(argument);
        sleep.due_ns = sleep.context->now_ns() + sleep.duration_ns;
        if (sleep.context->thread_sleep(sleep.duration_ns).ok()) sleep.woke_ns = sleep.context->now_ns();
    }
    helix::Result<void> join() {
        for (helix::ThreadId& thread : threads_) {
            if (thread != helix::ThreadId::None) TRY(context_->thread_join(thread));
            thread = helix::ThreadId::None;
        }
        return {};
    }
    static helix::Result<helix::Response> answer(uint64_t woke, uint64_t early, uint64_t latest_ns) {
        return helix::Response::ok(
            helix::format("{{\"woke\":{},\"early\":{},\"latest_ns\":{}}}", woke, early, latest_ns).text());
    }

    const helix::Context* context_ = nullptr;
    Sleep sleeps_[kThreads];
    helix::ThreadId threads_[kThreads] = {};
};
HELIX_MODULE(Sleeper)

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A handle that was bound leads to somebody who answers, for as long as it is held: threads that bind, call and let go
// while the module is loaded and unloaded.

#include "greeter.hpp"
#include "helix/module.hpp"

using helix::test::Greeter;

class GreeterBinder final : public helix::Module {
public:
    static constexpr auto kInfo =
        helix::ModuleInfo{"greeter-binder"}.version(1, 0, 0).flags(helix::ModuleFlags::Experimental);

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override {
        tried_ = TRY(context_->semaphore_create(0));
        return {};
    }
    helix::Result<void> stop() override {
        TRY(end());
        return context_->semaphore_destroy(tried_);
    }

    /// `ask MODULE`: a thread makes the request `wait` to it; `answer`: waits for its end, and what it gave.
    /// `begin MODULE`: threads bind that module by its name. `more`: waits until they tried some times more. `end`:
    /// what became of it.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type == "begin") {
            module_.assign(helix::as_text(request.payload));
            __atomic_store_n(&goes_on_, true, __ATOMIC_RELAXED);
            for (; count_ < kThreads; ++count_)
                threads_[count_] = TRY(context_->thread_create("binder", thread_main, this));
            return helix::Response::ok_empty();
        }
        if (request.request_type == "ask") {
            module_.assign(helix::as_text(request.payload));
            asker_ = TRY(context_->thread_create("asker", ask_main, this));
            return helix::Response::ok_empty();
        }
        if (request.request_type == "answer") {
            TRY(context_->thread_join(asker_));
            return helix::Response::ok(answer_.text());
        }
        if (request.request_type == "more") {
            for (uint64_t i = 0; i < 2 * kThreads; ++i) TRY(context_->semaphore_wait(tried_));
            return helix::Response::ok_empty();
        }
        if (request.request_type != "end") return helix::ErrorCode::NotImplemented;
        TRY(end());
        return helix::Response::ok(
            helix::format<60>("{}, {} broken", greeted_ == 0 ? "never greeted" : "greeted", broken_).text());
    }

private:
    static constexpr uint64_t kThreads = 3;

    helix::Result<void> end() {
        __atomic_store_n(&goes_on_, false, __ATOMIC_RELAXED);
        while (count_ > 0) TRY(context_->thread_join(threads_[--count_]));
        return {};
    }
    static void ask_main(void* argument) {
        auto& self = *static_cast<GreeterBinder*>(argument);
        const auto response = self.context_->request(self.module_.text(), {"wait"});
        self.answer_.assign(response.ok() ? helix::Text("it came back") : response.error().sentence().substr(0, 100));
    }
    static void thread_main(void* argument) {
        auto& self = *static_cast<GreeterBinder*>(argument);
        while (__atomic_load_n(&self.goes_on_, __ATOMIC_RELAXED)) {
            // Without a handle for a while, so that the module can be unloaded at all.
            for (int i = 0; i < 20; ++i) self.context_->thread_yield();
            (void)self.context_->semaphore_signal(self.tried_).ok();
            const auto handle = self.context_->bind<Greeter>(self.module_.text());
            if (!handle.ok()) continue;
            self.context_->thread_yield();
            uint8_t text[16];
            const bool ok = handle.value().call<&Greeter::greet>(helix::MutableBytes(text, sizeof(text))).ok();
            __atomic_fetch_add(ok ? &self.greeted_ : &self.broken_, 1, __ATOMIC_RELAXED);
        }
    }

    const helix::Context* context_ = nullptr;
    helix::FixedText<46> module_;
    helix::ThreadId asker_ = helix::ThreadId::None;
    helix::FixedText<100> answer_;
    helix::SemaphoreId tried_ = helix::SemaphoreId::None;
    helix::ThreadId threads_[kThreads] = {};
    uint64_t count_ = 0;
    bool goes_on_ = false;
    uint64_t greeted_ = 0;
    uint64_t broken_ = 0;
};
HELIX_MODULE(GreeterBinder)

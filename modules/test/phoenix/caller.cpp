// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Who calls a module that dies or hangs is its victim: it gets an error, or an answer from the successor, and goes on.

#include "phoenix.hpp"

#include "helix/module.hpp"

using helix::test::Phoenix;

class PhoenixCallerModule final : public helix::Implements<helix::test::PhoenixCaller> {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"phoenix-caller"}
                                      .version(1, 0, 0)
                                      .flags(helix::ModuleFlags::Experimental)
                                      .provides({"test.phoenix_caller"});

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        phoenix_ = TRY(context.bind<Phoenix>());
        return {};
    }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override {
        phoenix_ = {};
        return {};
    }

    /// `total`, `die`, `hang`, `ring`: calls that method. `ask_hang`: the same by a request. `queue`: a thread makes
    /// that request, and then it is asked for its total by one, behind it. `ring_beside`: a thread rings, and while it
    /// is called back the phoenix is made to die. `await N`: waits until N implementations
    /// have filled the handle's slot. `await_saves N`: until its state was saved N times more. `calls`: how many of all
    /// these came back.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        const helix::Text type = request.request_type;
        if (type == "calls") return number(calls_);
        if (type == "total") return outcome(phoenix_.call<&Phoenix::total>());
        if (type == "die") return outcome(phoenix_.call<&Phoenix::die>());
        if (type == "hang") return outcome(phoenix_.call<&Phoenix::hang>());
        if (type == "ring") return outcome(phoenix_.call<&Phoenix::ring>());
        if (type == "ask_hang") return outcome(ask("hang"));
        if (type == "queue") return queue();
        if (type == "ring_beside") return ring_beside();
        if (type == "await") return await(request.payload);
        if (type == "await_saves") return await_saves(request.payload);
        return helix::ErrorCode::NotImplemented;
    }

    helix::Result<uint64_t> answer() override {
        if (called_back_ != helix::SemaphoreId::None) (void)context_->semaphore_signal(called_back_).ok();
        TRY(context_->thread_sleep(1'000'000));
        ++answers_;
        return uint64_t{1};
    }

private:
    static helix::Response number(uint64_t value) { return helix::Response::ok(helix::format<20>("{}", value).text()); }
    helix::Response outcome(const helix::Result<uint64_t>& result) {
        ++calls_;
        if (result.ok()) return number(result.value());
        return helix::Response::err(helix::format("the caller got: {}", result.error().sentence()).text());
    }
    helix::Result<uint64_t> ask(helix::Text type) {
        TRY(context_->request("phoenix", type));
        return uint64_t{0};
    }
    helix::Result<helix::Response> queue() {
        const helix::ThreadId thread = TRY(context_->thread_create(
            "hanging",
            [](void* self) {
                auto& caller = *static_cast<PhoenixCallerModule*>(self);
                (void)caller.ask("hang").ok();
            },
            this));
        while (phoenix_.call<&Phoenix::hangs>().value_or(0) == 0) TRY(context_->thread_sleep(1'000'000));
        const auto asked = ask("get");
        TRY(context_->thread_join(thread));
        return outcome(asked);
    }
    helix::Result<helix::Response> ring_beside() {
        called_back_ = TRY(context_->semaphore_create(0));
        const helix::ThreadId thread = TRY(context_->thread_create(
            "ringing",
            [](void* self) {
                auto& caller = *static_cast<PhoenixCallerModule*>(self);
                const auto rung = caller.phoenix_.call<&Phoenix::ring>();
                caller.rung_.assign(rung.ok() ? helix::Text("an answer") : rung.error().sentence().substr(0, 100));
            },
            this));
        TRY(context_->semaphore_wait(called_back_));
        (void)ask("die").ok();
        TRY(context_->thread_join(thread));
        TRY(context_->semaphore_destroy(called_back_));
        called_back_ = helix::SemaphoreId::None;
        return helix::Response::ok(helix::format<150>("the caller got: {}; answers {}", rung_, answers_).text());
    }
    helix::Result<helix::Response> await(helix::Bytes payload) {
        uint64_t wanted = 0;
        if (!helix::parse_unsigned(helix::as_text(payload), wanted)) return helix::Response::err("await N: a number");
        while (phoenix_.generation() < wanted) TRY(context_->thread_sleep(1'000'000));
        return number(phoenix_.generation());
    }

    helix::Result<helix::Response> await_saves(helix::Bytes payload) {
        uint64_t wanted = 0;
        if (!helix::parse_unsigned(helix::as_text(payload), wanted))
            return helix::Response::err("await_saves N: a number");
        wanted += phoenix_.call<&Phoenix::saves>().value_or(0);
        while (phoenix_.call<&Phoenix::saves>().value_or(0) < wanted) TRY(context_->thread_sleep(1'000'000));
        return helix::Response::ok_empty();
    }

    const helix::Context* context_ = nullptr;
    helix::Handle<Phoenix> phoenix_;
    helix::SemaphoreId called_back_ = helix::SemaphoreId::None;
    helix::FixedText<100> rung_;
    uint64_t answers_ = 0;
    uint64_t calls_ = 0;
};
HELIX_MODULE(PhoenixCallerModule)

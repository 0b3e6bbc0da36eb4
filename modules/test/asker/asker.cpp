// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A request that was started is answered, given up, or over in time, and nothing of it is left. It can use the
// answerer, and goes without it; as asker-alone it leaves its requests behind when it stops.

#include "gate.hpp"
#include "helix/module.hpp"

using helix::test::Gate;

class Asker final : public helix::Module {
public:
#ifdef ASKER_ALONE
    static constexpr auto kInfo = helix::ModuleInfo{"asker-alone"}
#else
    static constexpr auto kInfo = helix::ModuleInfo{"asker"}
#endif
                                      .version(1, 0, 0)
                                      .flags(helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental)
                                      .optional({"test.gate >=1", "nobody-there"});

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        if (auto gate = context.bind<Gate>(); gate.ok()) gate_ = gate.take();
        return {};
    }
    helix::Result<void> start() override {
        answered_ = TRY(context_->semaphore_create(0));
        return {};
    }
    helix::Result<void> stop() override {
        gate_ = {};
#ifndef ASKER_ALONE
        for (helix::PendingRequest& pending : pending_) pending.cancel();
#endif
        return context_->semaphore_destroy(answered_);
    }

    /// `start TYPE`: starts that request in the next free place and gives its number; `start-in-20ms` with that
    /// time-out. `wait N` and `look N`: what came of it. `answered`: waits until one is. `cancel N`, `open`. `arrived`:
    /// waits until one is at the gate. `sum`: asks for 40 + 2. `many`: starts requests until it is refused.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        const helix::Text type = request.request_type;
        const helix::Text payload = helix::as_text(request.payload);
        if (type == "start") return start(payload, helix::Context::kForever);
        if (type == "start-in-20ms") return start(payload, 20'000'000);
        if (type == "sum") return sum();
        if (type == "many") return many();
        if (type == "answered") return done(context_->semaphore_wait(answered_));
        if (type == "open") return done(gate_.call<&Gate::open>());
        if (type == "arrived") return done(gate_.call<&Gate::wait_for_request>());
        uint64_t number = 0;
        if (!helix::parse_unsigned(payload, number) || number >= kPlaces) return helix::ErrorCode::NotImplemented;
        if (type == "wait") return pending_[number].wait();
        if (type == "look") return pending_[number].wait(0);
        if (type != "cancel") return helix::ErrorCode::NotImplemented;
        pending_[number].cancel();
        return helix::Response::ok_empty();
    }

private:
    static constexpr size_t kPlaces = 100;

    static helix::Result<helix::Response> done(const helix::Result<void>& result) {
        if (!result.ok()) return result.error();
        return helix::Response::ok_empty();
    }
    helix::Result<helix::Response> start(helix::Text type, uint64_t timeout_ns) {
        for (size_t i = 0; i < kPlaces; ++i) {
            if (pending_[i].started()) continue;
            // A text that is gone when the request is made.
            const auto text = helix::format<40>("number {}", i);
            pending_[i] =
                TRY(context_->start_request("answerer", {type, helix::as_bytes(text.text())}, timeout_ns, answered_));
            return helix::Response::ok(helix::format<40>("started {}", i).text());
        }
        return helix::Response::err("no place is free");
    }
    helix::Result<helix::Response> sum() {
        const helix::test::Terms terms{40, 2};
        auto pending = TRY(context_->start_request("answerer", {"sum", helix::bytes_of(terms)}));
        const helix::Response response = TRY(pending.wait());
        const auto value = TRY(helix::value_of<uint64_t>(response.payload().bytes()));
        return helix::Response::ok(helix::format<40>("the sum is {}", value).text());
    }
    helix::Result<helix::Response> many() {
        for (;;) {
            auto started = start("echo", helix::Context::kForever);
            if (started.ok()) continue;
            for (helix::PendingRequest& pending : pending_) pending.cancel();
            return started;
        }
    }

    const helix::Context* context_ = nullptr;
    helix::Handle<Gate> gate_;
    helix::SemaphoreId answered_ = helix::SemaphoreId::None;
    helix::PendingRequest pending_[kPlaces];
};
HELIX_MODULE(Asker)

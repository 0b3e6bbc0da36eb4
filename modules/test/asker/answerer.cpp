// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Whoever asks need not wait: one that answers when it is let, and counts what it was asked.

#include "gate.hpp"
#include "helix/module.hpp"

class Answerer final : public helix::Implements<helix::test::Gate> {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"answerer"}
                                      .version(1, 0, 0)
                                      .flags(helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental)
                                      .provides({"test.gate"});

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override {
        opened_ = TRY(context_->semaphore_create(0));
        waits_ = TRY(context_->semaphore_create(0));
        return {};
    }
    helix::Result<void> stop() override {
        TRY(context_->semaphore_destroy(waits_));
        return context_->semaphore_destroy(opened_);
    }

    helix::Result<void> open() override { return context_->semaphore_signal(opened_); }
    helix::Result<void> wait_for_request() override { return context_->semaphore_wait(waits_); }

    /// `echo`: what it was sent. `hold`: the same, when the gate was opened. `sum`: of two numbers. `refuse`: an error.
    /// `crash` crashes. `echoed`: how often `echo` was asked.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type == "echo") {
            ++echoed_;
            return helix::Response::ok(request.payload);
        }
        if (request.request_type == "hold") {
            TRY(context_->semaphore_signal(waits_));
            TRY(context_->semaphore_wait(opened_));
            return helix::Response::ok(request.payload);
        }
        if (request.request_type == "sum") {
            const auto terms = TRY(helix::value_of<helix::test::Terms>(request.payload));
            return helix::Response::ok_value(terms.first + terms.second);
        }
        if (request.request_type == "refuse") return helix::Response::err("it does not want to");
        if (request.request_type == "crash") __builtin_trap();
        if (request.request_type != "echoed") return helix::ErrorCode::NotImplemented;
        return helix::Response::ok(helix::format<20>("{}", echoed_).text());
    }

private:
    const helix::Context* context_ = nullptr;
    helix::SemaphoreId opened_ = helix::SemaphoreId::None;
    helix::SemaphoreId waits_ = helix::SemaphoreId::None;
    uint64_t echoed_ = 0;
};
HELIX_MODULE(Answerer)

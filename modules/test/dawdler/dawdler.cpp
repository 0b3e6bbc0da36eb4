// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Whoever does not come back from a call, by computing or by waiting, is ended; whoever is called often is not.

#include "dawdler.hpp"

#include "helix/module.hpp"

class DawdlerModule final : public helix::Implements<helix::test::Dawdler> {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"dawdler"}
                                      .version(1, 0, 0)
                                      .flags(helix::ModuleFlags::Experimental)
                                      .provides({"test.dawdler"});

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override {
        never_ = TRY(context_->semaphore_create(0));
        return {};
    }
    helix::Result<void> stop() override { return context_->semaphore_destroy(never_); }

    helix::Result<uint64_t> wait() override {
        TRY(context_->semaphore_wait(never_));
        return uint64_t{0};
    }
    helix::Result<uint64_t> loop() override { compute_for_ever(); }
    uint64_t spin() override { compute_for_ever(); }
    helix::Result<uint64_t> doze() override {
        for (;;) (void)context_->semaphore_wait(never_, 3'000'000).ok();
    }
    helix::Result<uint64_t> nap() override {
        TRY(context_->thread_sleep(1'000'000));
        return uint64_t{1};
    }
    helix::Result<uint64_t> glance() override { return uint64_t{1}; }
    helix::Result<uint64_t> rest() override {
        TRY(context_->thread_sleep(80'000'000));
        return uint64_t{1};
    }

private:
    [[noreturn]] void compute_for_ever() {
        for (;;) {
            for (uint32_t i = 0; i < 100'000; ++i) asm volatile("");
            (void)context_->now_ns();  // a point where replay goes on
        }
    }

    const helix::Context* context_ = nullptr;
    helix::SemaphoreId never_ = helix::SemaphoreId::None;
};
HELIX_MODULE(DawdlerModule)

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A clean stop that leaves memory, a thread, a semaphore, a timer that runs, a handle and a subscription is reported as
// a leak, the memory with where it came from; all is given back, and so is the kept memory, which is none.

#include "../greeter/greeter.hpp"
#include "helix/module.hpp"

class Leaks final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"leaks"}
                                      .version(1, 0, 0)
                                      .flags(helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental)
                                      .dependencies({"test.greeter"});

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override {
        block_ = new unsigned char[5000];
        block_[0] = 1;
        for (unsigned char*& part : parts_) part = make_part();
        TRY(context_->subscribe("leaks"));
        greeter_ = TRY(context_->bind<helix::test::Greeter>());
        TRY(context_->kept_memory<Kept>("leaks"))->bytes[0] = 1;
        never_ = TRY(context_->semaphore_create(0));
        thread_ = TRY(context_->thread_create("leaked", wait_for_ever, this));
        timer_ = TRY(context_->timer_start(never_, 0, context_->kShortestPeriodNs));
        return {};
    }
    helix::Result<void> stop() override { return {}; }

private:
    struct Kept {
        unsigned char bytes[64 * 1024];
    };
    [[gnu::noinline]] static unsigned char* make_part() {
        auto* const part = new unsigned char[100];
        part[0] = 1;
        return part;
    }
    static void wait_for_ever(void* self) {
        auto& module = *static_cast<Leaks*>(self);
        while (module.context_->semaphore_wait(module.never_).ok()) {
        }
    }

    const helix::Context* context_ = nullptr;
    unsigned char* block_ = nullptr;
    unsigned char* parts_[3] = {};
    helix::Handle<helix::test::Greeter> greeter_;
    helix::SemaphoreId never_ = helix::SemaphoreId::None;
    helix::ThreadId thread_ = helix::ThreadId::None;
    helix::TimerId timer_ = helix::TimerId::None;
};
HELIX_MODULE(Leaks)

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Whatever a module takes of the kernel, in any entry point, may be refused, and then nothing of it is left: one that
// takes of everything, says what was refused, and in its stop gives all back. Version 2 has a second interface.

#include "../greeter/greeter.hpp"
#include "../greeter/waver.hpp"
#include "helix/module.hpp"

#include <vector>

#if HOLDER_VERSION >= 2
using Interfaces = helix::Implements<helix::test::Greeter, helix::test::Waver>;
#else
using Interfaces = helix::Implements<helix::test::Greeter>;
#endif

class Holder final : public Interfaces {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"holder"}
                                      .version(HOLDER_VERSION, 0, 0)
                                      .flags(helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental)
                                      .dependencies({"greeter-english"})
#if HOLDER_VERSION >= 2
                                      .provides({"test.greeter", "test.waver"});
#else
                                      .provides({"test.greeter"});
#endif
    static constexpr helix::Option kOptions[] = {
        helix::Option::integer("units", 0, 100, 7, "What the semaphore begins with")};

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        units_ = static_cast<uint32_t>(TRY(context.config_integer("units")));
        scratch_ = TRY(helix::Buffer::create(3000));
        numbers_.reserve(100);
        return {};
    }
    helix::Result<void> start() override {
        kept_ = TRY(context_->kept_memory<Kept>("held"));
        TRY(context_->subscribe("held"));
        TRY(context_->subscribe(helix::EventKind::CpuHotplug));
        greeter_ = TRY(context_->bind<helix::test::Greeter>("greeter-english"));
        ended_ = TRY(context_->semaphore_create(0));
        counted_ = TRY(context_->semaphore_create(units_));
        thread_ = TRY(context_->thread_create("held", thread_main, this));
        timer_ = TRY(context_->timer_start(counted_, 0, 1'000'000'000));
        TRY(context_->emit("held", helix::as_bytes("something")));
        const helix::Response caller = TRY(context_->request("greeter-caller", {"list"}));
        if (!caller.is_ok()) return helix::Error(helix::ErrorCode::InvalidState, "greeter-caller knows nobody");
        for (uint64_t i = 0; i < 100; ++i) numbers_.push_back(i);
        ++kept_->starts;
        return {};
    }
    helix::Result<void> stop() override {
        TRY(context_->timer_stop(timer_));
        TRY(context_->semaphore_signal(ended_));
        TRY(context_->thread_join(thread_));
        TRY(context_->semaphore_destroy(ended_));
        TRY(context_->semaphore_destroy(counted_));
        greeter_ = {};
        scratch_ = {};
        numbers_ = {};
        return {};
    }
    helix::Result<void> save_state(helix::StateWriter& state) override { return state.put("numbers", numbers_.size()); }
    helix::Result<void> restore_state(helix::StateReader& state, helix::Reason) override {
        const uint64_t size = TRY(state.get_unsigned("numbers"));
        const helix::Buffer work = TRY(helix::Buffer::create(size));
        return context_->config("units").ok() ? helix::Result<void>() : helix::ErrorCode::Corrupt;
    }

    /// `crash`: ends the instance.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type != "crash") return helix::ErrorCode::NotImplemented;
        context_->abort("on request");
    }

    uint64_t greet(helix::MutableBytes out) override { return helix::test::write_greeting("mine", out); }
#if HOLDER_VERSION >= 2
    uint64_t wave() override { return kept_->starts; }
#endif

private:
    struct Kept {
        uint64_t starts;
        unsigned char more[20'000];
    };
    static void thread_main(void* self) {
        auto& holder = *static_cast<Holder*>(self);
        (void)holder.context_->semaphore_wait(holder.ended_).ok();
    }

    const helix::Context* context_ = nullptr;
    uint32_t units_ = 0;
    helix::Buffer scratch_;
    std::vector<uint64_t> numbers_;
    Kept* kept_ = nullptr;
    helix::Handle<helix::test::Greeter> greeter_;
    helix::SemaphoreId ended_ = helix::SemaphoreId::None;
    helix::SemaphoreId counted_ = helix::SemaphoreId::None;
    helix::ThreadId thread_ = helix::ThreadId::None;
    helix::TimerId timer_ = helix::TimerId::None;
};
HELIX_MODULE(Holder)

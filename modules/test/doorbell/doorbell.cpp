// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Interrupts on a line that a module claimed reach its thread, one at a time, and none is lost when the module is
// replaced: the line is its place's, and what came in between is the winner's.
//
// On x86_64 the machine's clock, an MC146818 at ports 0x70 and 0x71, can ring on line 8. Version 3 fails in start.

#include "helix/module.hpp"

class Doorbell final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"doorbell"}
                                      .version(DOORBELL_VERSION, 0, 0)
                                      .flags(helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental);

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override {
        bell_ = TRY(context_->semaphore_create(0));
        if (line_ != kNone) TRY(begin());
        if (DOORBELL_VERSION == 3) return helix::Error(helix::ErrorCode::InvalidState, "start fails on purpose");
        return {};
    }
    helix::Result<void> stop() override {
        __atomic_store_n(&ending_, true, __ATOMIC_RELEASE);
        if (line_ != kNone) TRY(context_->interrupt_release(line_));
        TRY(context_->semaphore_signal(bell_));
        if (thread_ != helix::ThreadId::None) TRY(context_->thread_join(thread_));
        return context_->semaphore_destroy(bell_);
    }
    /// Slowly, so that it rings meanwhile.
    helix::Result<void> save_state(helix::StateWriter& state) override {
        if (linger_ns_ != 0) context_->warning("saving");
        for (const uint64_t over_ns = context_->now_ns() + linger_ns_; context_->now_ns() < over_ns;) {
        }
        TRY(state.put("line", uint64_t{line_}));
        TRY(state.put("clock", uint64_t{is_clock_}));
        return state.put("rings", load(rings_));
    }
    helix::Result<void> restore_state(helix::StateReader& state, helix::Reason) override {
        line_ = static_cast<uint32_t>(TRY(state.get_unsigned("line")));
        is_clock_ = TRY(state.get_unsigned("clock")) != 0;
        rings_ = TRY(state.get_unsigned("rings"));
        return {};
    }

    /// `claim LINE`. `clock`: lets the machine's clock ring, 128 times a second. `rings N` waits for so many more,
    /// `reach N` until there were so many, and `total` says how many there were. `linger NS`: for how long save_state
    /// takes. `crash` does so.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        uint64_t number = 0;
        const bool has_number = helix::parse_unsigned(helix::as_text(request.payload), number);
        const helix::Text type = request.request_type;
        if (type == "claim" && has_number && line_ == kNone) {
            line_ = static_cast<uint32_t>(number);
            if (auto begun = begin(); !begun.ok()) {
                line_ = kNone;
                return begun.error();
            }
        } else if (type == "clock") {
            is_clock_ = true;
            start_clock();
        } else if (type == "linger" && has_number) {
            linger_ns_ = number;
        } else if (type == "rings" && has_number) {
            number += load(rings_);
            while (load(rings_) < number) TRY(context_->thread_sleep(1'000'000));
        } else if (type == "reach" && has_number) {
            while (load(rings_) < number) TRY(context_->thread_sleep(1'000'000));
        } else if (type == "total") {
            return helix::Response::ok(helix::format("{}", load(rings_)).text());
        } else if (type == "crash") {
            __builtin_trap();
        } else {
            return helix::ErrorCode::NotImplemented;
        }
        return helix::Response::ok_empty();
    }

private:
    static constexpr uint32_t kNone = UINT32_MAX;
    static constexpr uint8_t kRegisterA = 0x0a, kRegisterB = 0x0b, kRegisterC = 0x0c;

    static uint64_t load(const uint64_t& value) { return __atomic_load_n(&value, __ATOMIC_ACQUIRE); }

    helix::Result<void> begin() {
        TRY(context_->interrupt_claim(line_, bell_));
        auto thread = context_->thread_create("doorbell", answer_main, this);
        if (thread.ok())
            thread_ = thread.value();
        else
            TRY(context_->interrupt_release(line_));
        return thread.ok() ? helix::Result<void>() : thread.error();
    }
    static void answer_main(void* self) {
        auto& door = *static_cast<Doorbell*>(self);
        while (door.context_->semaphore_wait(door.bell_).ok()) {
            if (__atomic_load_n(&door.ending_, __ATOMIC_ACQUIRE)) return;
            (void)door.context_->interrupt_enable(door.line_).ok();
            // It does not ring again before it was asked why it did.
            if (door.is_clock_) (void)read_clock(kRegisterC);
            __atomic_store_n(&door.rings_, door.rings_ + 1, __ATOMIC_RELEASE);
        }
    }

    static void out(uint16_t port, uint8_t value) { asm volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
    static uint8_t read_clock(uint8_t index) {
        uint8_t value;
        out(0x70, index);
        asm volatile("inb %1, %0" : "=a"(value) : "Nd"(uint16_t{0x71}));
        return value;
    }
    static void write_clock(uint8_t index, uint8_t value) {
        out(0x70, index);
        out(0x71, value);
    }
    static void start_clock() {
        constexpr uint8_t kRate128 = 9, kPeriodic = 0x40;
        write_clock(kRegisterA, static_cast<uint8_t>((read_clock(kRegisterA) & 0xf0) | kRate128));
        write_clock(kRegisterB, read_clock(kRegisterB) | kPeriodic);
        (void)read_clock(kRegisterC);
    }

    const helix::Context* context_ = nullptr;
    uint32_t line_ = kNone;
    bool is_clock_ = false;  // of the thread that answers, and before it is there
    uint64_t rings_ = 0;     // atomic
    uint64_t linger_ns_ = 0;
    bool ending_ = false;  // atomic
    helix::SemaphoreId bell_ = helix::SemaphoreId::None;
    helix::ThreadId thread_ = helix::ThreadId::None;
};
HELIX_MODULE(Doorbell)

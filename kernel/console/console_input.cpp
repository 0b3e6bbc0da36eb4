// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ConsoleInput.
#include "kernel/console/console_input.hpp"

#include "kernel/kernel.hpp"

namespace helix::kernel {

Result<void> ConsoleInput::start() {
    reader_ = &current_thread();
    TRY(threads_.create("console", thread_main, this, {.kind = ThreadClass::Kernel}));
    return {};
}

void ConsoleInput::thread_main(void* argument) {
    auto& input = *static_cast<ConsoleInput*>(argument);
    for (;;) {
        for (int byte = arch::console_read(); byte >= 0; byte = arch::console_read())
            input.take(static_cast<uint8_t>(byte));
        input.threads_.wait_console_input();
    }
}

void ConsoleInput::take(uint8_t byte) {
    queue_.wake_all([&] {
        if (byte == kInterrupt) {
            count_ = 0;
            if (running_) {
                interrupted_ = true;
                // In this order: see WaitQueue. end_command takes both back under the same lock.
                reader_->cancelled = true;
                if (reader_->cancellable) threads_.wake(*reader_, WakeReason::Cancelled);
                return;
            }
        }
        if (count_ == kCapacity) {
            if (byte != kEndOfInput) return;
            --count_;  // the end comes once, and must not be missed
        }
        ring_[(first_ + count_++) % kCapacity] = byte;
    });
}

int ConsoleInput::next() {
    return queue_.locked([&]() -> int {
        if (count_ == 0) return -1;
        const uint8_t byte = ring_[first_];
        first_ = (first_ + 1) % kCapacity;
        --count_;
        return byte;
    });
}

void ConsoleInput::wait() {
    queue_.wait_until([&] { return count_ > 0; }, kForever, Cancellable::No);
}

WakeReason ConsoleInput::wait_for(uint64_t timeout_ns) {
    return queue_.wait_until([&] { return count_ > 0; }, deadline_after(timeout_ns));
}

void ConsoleInput::begin_command() {
    queue_.locked([&] {
        running_ = true;
        interrupted_ = false;
    });
}

void ConsoleInput::end_command() {
    queue_.locked([&] {
        running_ = false;
        reader_->cancelled = false;
    });
}

bool ConsoleInput::is_interrupted() {
    return queue_.locked([&] { return interrupted_; });
}

}  // namespace helix::kernel

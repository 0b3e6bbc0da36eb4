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
    state_.wake_all([&](State& state) {
        if (byte == kInterrupt) {
            state.count = 0;
            if (state.running) {
                state.interrupted = true;
                // In this order: see WaitQueue. end_command takes both back under the same lock.
                reader_->cancelled = true;
                if (reader_->cancellable) threads_.wake(*reader_, WakeReason::Cancelled);
                return;
            }
        }
        if (state.count == kCapacity) {
            if (byte != kEndOfInput) return;
            --state.count;  // the end comes once, and must not be missed
        }
        state.ring[(state.first + state.count++) % kCapacity] = byte;
    });
}

int ConsoleInput::next() {
    return state_.with([](State& state) -> int {
        if (state.count == 0) return -1;
        const uint8_t byte = state.ring[state.first];
        state.first = (state.first + 1) % kCapacity;
        --state.count;
        return byte;
    });
}

void ConsoleInput::wait() {
    state_.wait_until([](State& state) { return state.count > 0; }, kForever, Cancellable::No);
}

WakeReason ConsoleInput::wait_for(uint64_t timeout_ns) {
    return state_.wait_until([](State& state) { return state.count > 0; }, deadline_after(timeout_ns));
}

void ConsoleInput::begin_command() {
    state_.with([](State& state) {
        state.running = true;
        state.interrupted = false;
    });
}

void ConsoleInput::end_command() {
    state_.with([&](State& state) {
        state.running = false;
        reader_->cancelled = false;
    });
}

bool ConsoleInput::is_interrupted() {
    return state_.with([](State& state) { return state.interrupted; });
}

}  // namespace helix::kernel

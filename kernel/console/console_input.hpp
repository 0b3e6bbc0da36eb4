// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ConsoleInput: reads the keyboard beside the command that runs, so that Ctrl-C can stop it.
#pragma once

#include "kernel/thread/threads.hpp"

namespace helix::kernel {

/// A thread of the kernel class takes every byte from the console as it comes. Bytes wait here until the shell wants
/// them. Ctrl-C drops what was typed ahead; while a command runs it also ends that command's waits, as when a thread is
/// cancelled, and otherwise it is a byte like any other. Lives as long as the kernel.
class ConsoleInput {
public:
    static constexpr uint8_t kInterrupt = 0x03;   ///< Ctrl-C
    static constexpr uint8_t kEndOfInput = 0x04;  ///< Ctrl-D
    static constexpr size_t kCapacity = 4096;     ///< bytes typed ahead; more are dropped

    explicit ConsoleInput(Threads& threads) : threads_(threads) {}

    /// Starts the thread; the calling one is the one that Ctrl-C interrupts. Once; thread context, preemption on.
    Result<void> start();
    /// The next byte, or -1 if none waits. The calling thread of start, like all that follows.
    int next();
    /// Waits until a byte waits.
    void wait();
    /// The same while a command runs, which Ctrl-C cancels, and not for longer than `timeout_ns`.
    WakeReason wait_for(uint64_t timeout_ns);
    /// Between the two Ctrl-C interrupts.
    void begin_command();
    void end_command();
    /// Whether Ctrl-C came since begin_command.
    bool is_interrupted();

private:
    static void thread_main(void* input);
    void take(uint8_t byte);

    Threads& threads_;
    Thread* reader_ = nullptr;  ///< who reads the bytes, and is interrupted
    struct State {
        bool running = false;
        bool interrupted = false;
        size_t first = 0;
        size_t count = 0;
        uint8_t ring[kCapacity];
    };
    Awaited<State> state_;
};

}  // namespace helix::kernel

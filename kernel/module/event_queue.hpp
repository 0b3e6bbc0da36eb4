// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// EventQueue: events on their way to subscribers, delivered in order by one thread.
#pragma once

#include "helix/module.hpp"
#include "kernel/thread/awaited.hpp"

namespace helix::kernel {

struct Kernel;

/// At most kCapacity events wait; one more is refused with Busy. A Tick that finds a Tick waiting is merged with it.
class EventQueue {
public:
    static constexpr size_t kCapacity = 64;

    /// Starts the thread. Once, at boot.
    Result<void> init(Kernel& kernel);
    /// Copies the event. Errors: Busy, OutOfMemory. Thread context, preemption on.
    Result<void> push(Kernel& kernel, const Event& event);
    /// Waits until the queue is empty and nothing is being delivered. Errors: TimedOut, Cancelled.
    Result<void> drain(uint64_t timeout_ns);
    /// Events queued so far: the number of the newest one. A module hears those with a higher number than this was when
    /// it was started.
    uint64_t newest() {
        return state_.with([](State& state) { return state.sent; });
    }

private:
    struct Queued {
        Event event{};
        uint64_t number = 0;
        FixedText<46> name;
        Buffer data;
    };
    struct State {
        Queued ring[kCapacity];
        size_t first = 0;
        size_t count = 0;
        uint64_t sent = 0;
        bool delivering = false;
    };
    static void thread_main(void* kernel);
    void deliver(Kernel& kernel, Queued& queued);

    Awaited<State> state_{LockRank::Slot};
};

}  // namespace helix::kernel

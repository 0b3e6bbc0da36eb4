// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Semaphore: a count of units that threads take and give.
#pragma once

#include "kernel/thread/wait_queue.hpp"

namespace helix::kernel {

class Semaphore {
public:
    explicit Semaphore(uint32_t initial) : units_(initial) {}

    /// Takes one unit. Errors: TimedOut, Cancelled. Thread context, preemption on.
    Result<void> wait(uint64_t timeout_ns = kForever) {
        const WakeReason reason = queue_.wait_until(
            [&] {
                if (units_ == 0) return false;
                --units_;
                return true;
            },
            deadline_after(timeout_ns));
        if (reason == WakeReason::TimedOut) return ErrorCode::TimedOut;
        if (reason == WakeReason::Cancelled) return ErrorCode::Cancelled;
        return {};
    }
    /// Adds one unit and wakes one waiter. Any thread context.
    void signal() {
        queue_.wake_one([&] { ++units_; });
    }
    bool has_waiters() { return queue_.has_waiters(); }

private:
    WaitQueue queue_;
    uint64_t units_;  // guarded by the queue's lock
};

}  // namespace helix::kernel

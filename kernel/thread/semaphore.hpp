// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Semaphore: a count of units that threads take and give.
#pragma once

#include "kernel/thread/awaited.hpp"

namespace helix::kernel {

class Semaphore {
public:
    explicit Semaphore(uint32_t initial) : units_(uint64_t{initial}) {}

    /// Takes one unit. Errors: TimedOut, Cancelled. Thread context, preemption on.
    Result<void> wait(uint64_t timeout_ns = kForever) HELIX_MAY_SLEEP {
        const WakeReason reason = units_.wait_until(
            [](uint64_t& units) {
                if (units == 0) return false;
                --units;
                return true;
            },
            deadline_after(timeout_ns));
        if (reason == WakeReason::TimedOut) return ErrorCode::TimedOut;
        if (reason == WakeReason::Cancelled) return ErrorCode::Cancelled;
        return {};
    }
    /// Takes one unit if there is one. Any thread context.
    bool try_take() HELIX_MAY_SPIN {
        return units_.with([](uint64_t& units) {
            const bool any = units != 0;
            units -= any;
            return any;
        });
    }
    /// Adds one unit and wakes one waiter. Any thread context.
    void signal() HELIX_MAY_SPIN {
        units_.wake_one([](uint64_t& units) { ++units; });
    }
    /// The same, unless it has a unit.
    void signal_once() HELIX_MAY_SPIN {
        units_.wake_one([](uint64_t& units) { units += units == 0; });
    }
    bool has_waiters() { return units_.has_waiters(); }

private:
    Awaited<uint64_t> units_;
};

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ConditionVariable: threads that let go of a mutex and wait until somebody says that what it guards has changed.
#pragma once

#include "kernel/thread/mutex.hpp"
#include "kernel/thread/waiters.hpp"

namespace helix::kernel {

class ConditionVariable {
public:
    ConditionVariable() = default;
    ConditionVariable(const ConditionVariable&) = delete;
    ConditionVariable& operator=(const ConditionVariable&) = delete;

    /// Unlocks `mutex` and waits; no signal is lost in between. Holds `mutex` again on return, whatever the result. ok
    /// means that a signal was meant for this thread; what it waits for may be untrue again by then. Errors: TimedOut,
    /// Cancelled.
    Result<void> wait(Mutex& mutex, uint64_t timeout_ns = kForever) HELIX_REQUIRES(mutex) HELIX_MAY_SLEEP;
    /// Waits until `condition()`, looked at with `mutex` held, is true. Errors: TimedOut, Cancelled: it was not.
    template <typename Condition>
    Result<void> wait_until(Mutex& mutex, Condition condition, uint64_t timeout_ns = kForever)
        HELIX_REQUIRES(mutex) HELIX_MAY_SLEEP {
        const uint64_t deadline_ns = deadline_after(timeout_ns);
        while (!condition()) {
            const WakeReason reason = wait_for_signal(mutex, deadline_ns);
            if (reason == WakeReason::Signalled) continue;
            if (condition()) return {};  // looked at once: it may take what it waited for
            return reason == WakeReason::TimedOut ? ErrorCode::TimedOut : ErrorCode::Cancelled;
        }
        return {};
    }
    /// Wakes who has waited longest; nobody if nobody waits. The mutex may be held.
    void signal_one() HELIX_MAY_SPIN;
    void signal_all() HELIX_MAY_SPIN;

private:
    WakeReason wait_for_signal(Mutex& mutex, uint64_t deadline_ns) HELIX_REQUIRES(mutex);

    SpinLock lock_ HELIX_RANK(WaitQueue);
    Waiters waiting_ HELIX_GUARDED_BY(lock_);
};

}  // namespace helix::kernel

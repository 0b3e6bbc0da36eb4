// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Awaited: data inside the lock of a wait queue. Threads wait until it is as they want it.
#pragma once

#include "kernel/thread/wait_queue.hpp"

namespace helix::kernel {

/// Nobody reaches the value without the lock. What conditions, changes and looks return must not lead to it.
template <typename T>
class Awaited {
public:
    explicit Awaited(LockRank rank = LockRank::WaitQueue) : queue_(rank) {}
    explicit Awaited(T value) : value_(value) {}
    Awaited(const Awaited&) = delete;
    Awaited& operator=(const Awaited&) = delete;

    /// Waits until `condition(value)` is true, as WaitQueue::wait_until does.
    template <typename Condition>
    WakeReason wait_until(Condition condition, uint64_t deadline_ns = kForever,
                          Cancellable cancellable = Cancellable::Yes) HELIX_MAY_SLEEP {
        return queue_.wait_until([&] { return condition(value_); }, deadline_ns, cancellable);
    }
    /// Runs `change(value)` and wakes waiters to look at their conditions again.
    template <typename Change>
    void wake_all(Change change) HELIX_MAY_SPIN {
        queue_.wake_all([&] { change(value_); });
    }
    template <typename Change>
    void wake_one(Change change) HELIX_MAY_SPIN {
        queue_.wake_one([&] { change(value_); });
    }
    /// Runs `look(value)`; nobody is woken.
    template <typename Look>
    auto with(Look look) HELIX_MAY_SPIN {
        return queue_.locked([&] { return look(value_); });
    }
    bool has_waiters() HELIX_MAY_SPIN { return queue_.has_waiters(); }

private:
    WaitQueue queue_;
    T value_{};
};

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// WaitQueue: threads that wait for a condition, with time-out and cancellation. Below it one wait of a thread, on which
// everything that blocks is built.
#pragma once

#include "kernel/thread/spin_lock.hpp"
#include "kernel/thread/thread.hpp"

namespace helix::kernel {

inline constexpr uint64_t kForever = UINT64_MAX;

/// `timeout_ns` from now as a point in time; kForever stays kForever.
uint64_t deadline_after(uint64_t timeout_ns);

/// Whether a wait ends when the owner of the thread is being ended. The kernel's own invariants wait with No.
enum class Cancellable : uint8_t { Yes, No };

/// The calling thread, which those who take `lock` find where they look for it, waits with `lock` released until
/// somebody wakes it; `lock` is free on return. Signalled, TimedOut, Cancelled (never, unless the wait is cancellable),
/// or None: without reason, by who was late for an earlier wait, so look again. Preemption count one.
WakeReason wait_unlocking(SpinLock& lock, uint64_t deadline_ns, Cancellable cancellable) HELIX_RELEASE(lock);

class WaitQueue {
public:
    /// `rank` places the queue's lock; the condition is evaluated with it held.
    explicit WaitQueue(LockRank rank = LockRank::WaitQueue) : lock_(rank) {}

    /// Waits until `condition()` is true. Signalled: it was true under the lock, and whatever it changed stands.
    /// TimedOut, Cancelled (the thread's owner is being ended): it was not. Thread context, preemption on.
    template <typename Condition>
    WakeReason wait_until(Condition condition, uint64_t deadline_ns = kForever,
                          Cancellable cancellable = Cancellable::Yes) HELIX_MAY_SLEEP {
        context::require_may_sleep("WaitQueue::wait_until");
        lock_.lock();
        WakeReason reason = WakeReason::None;
        while (!condition()) {
            if (reason == WakeReason::TimedOut || reason == WakeReason::Cancelled) {
                lock_.unlock();
                return reason;
            }
            reason = wait_in_line(deadline_ns, cancellable);
        }
        lock_.unlock();
        return WakeReason::Signalled;
    }
    /// Runs `change` under the queue's lock and wakes waiters to look at their conditions again. Any thread context.
    template <typename Change>
    void wake_all(Change change) HELIX_MAY_SPIN {
        lock_.lock();
        change();
        wake_waiting(SIZE_MAX);
        lock_.unlock();
    }
    template <typename Change>
    void wake_one(Change change) HELIX_MAY_SPIN {
        lock_.lock();
        change();
        wake_waiting(1);
        lock_.unlock();
    }
    /// Runs `look` under the queue's lock.
    template <typename Look>
    auto locked(Look look) HELIX_MAY_SPIN {
        SpinLockGuard guard(lock_);
        return look();
    }
    bool has_waiters() HELIX_MAY_SPIN {
        SpinLockGuard guard(lock_);
        return !waiting_.empty();
    }

private:
    WakeReason wait_in_line(uint64_t deadline_ns, Cancellable cancellable) HELIX_REQUIRES(lock_);
    void wake_waiting(size_t count) HELIX_REQUIRES(lock_);

    SpinLock lock_ HELIX_RANKED_BETWEEN(Slot, WaitQueue);
    boost::intrusive::list<Thread, boost::intrusive::base_hook<WaitHook>> waiting_ HELIX_GUARDED_BY(lock_);
};

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// TimerQueue: the threads that wait for a time, by deadline (a red-black tree).
#pragma once

#include "kernel/thread/spin_lock.hpp"
#include "kernel/thread/thread.hpp"

namespace helix::kernel {

class TimerQueue {
public:
    /// `thread` is woken with TimedOut at `deadline_ns`. It is in no timer queue. Any thread context.
    void add(Thread& thread, uint64_t deadline_ns) {
        SpinLockGuard guard(lock_);
        thread.deadline_ns = deadline_ns;
        threads_.insert(thread);
    }
    /// Takes `thread` out if it is still in. Any thread context.
    void remove(Thread& thread) {
        SpinLockGuard guard(lock_);
        if (static_cast<TimerHook&>(thread).is_linked()) threads_.erase(threads_.iterator_to(thread));
    }
    /// Calls `wake(thread)` for each thread whose time has come, earliest first, with the queue locked: a thread
    /// cannot leave its wait, and enter another, in between.
    template <typename Wake>
    void expire(uint64_t now_ns, Wake wake) {
        SpinLockGuard guard(lock_);
        while (!threads_.empty() && threads_.begin()->deadline_ns <= now_ns) {
            Thread& thread = *threads_.begin();
            threads_.erase(threads_.begin());
            wake(thread);
        }
    }

private:
    struct ByDeadline {
        using type = uint64_t;
        uint64_t operator()(const Thread& thread) const { return thread.deadline_ns; }
    };
    SpinLock lock_{LockRank::Timer};
    boost::intrusive::multiset<Thread, boost::intrusive::base_hook<TimerHook>,
                               boost::intrusive::key_of_value<ByDeadline>>
        threads_ HELIX_GUARDED_BY(lock_);
};

}  // namespace helix::kernel

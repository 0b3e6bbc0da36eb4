// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// TimerQueue: what waits for a time on one CPU, threads and timers of modules, by deadline (a red-black tree).
#pragma once

#include "kernel/thread/spin_lock.hpp"
#include "kernel/thread/thread.hpp"

namespace helix::kernel {

class TimerQueue {
public:
    /// Deadline::timer_cpu of one that is between two queues.
    static constexpr CpuId kMoving = UINT32_MAX;

    /// `waiter`, which is in no queue, is in this one of CPU `id` until its deadline. Any thread context.
    void add(Deadline& waiter, uint64_t deadline_ns, CpuId id) {
        SpinLockGuard guard(lock_);
        waiter.deadline_ns = deadline_ns;
        waiters_.insert(waiter);
        __atomic_store_n(&waiter.timer_cpu, id, __ATOMIC_RELEASE);
        tell_first();
    }
    /// Takes `waiter` out if it is still in; false if it belongs to another queue than that of CPU `id`, this one's.
    bool remove(Deadline& waiter, CpuId id) {
        SpinLockGuard guard(lock_);
        if (__atomic_load_n(&waiter.timer_cpu, __ATOMIC_RELAXED) != id) return false;
        if (static_cast<TimerHook&>(waiter).is_linked()) {
            waiters_.erase(waiters_.iterator_to(waiter));
            tell_first();
        }
        return true;
    }
    /// Takes out the first one, which must be added elsewhere at once, with preemption off until then: whoever wants
    /// to remove it waits. Null if there is none. Preemption off.
    Deadline* take_first() {
        SpinLockGuard guard(lock_);
        if (waiters_.empty()) return nullptr;
        Deadline& waiter = *waiters_.begin();
        waiters_.erase(waiters_.begin());
        __atomic_store_n(&waiter.timer_cpu, kMoving, __ATOMIC_RELAXED);
        tell_first();
        return &waiter;
    }
    /// Calls `wake(thread)` for each thread whose time has come, earliest first, with the queue locked: a thread
    /// cannot leave its wait, and enter another, in between. Stops at a timer: that is in no queue any more, and its
    /// number is returned, for it may be gone as soon as the queue is unlocked. None: nobody's time has come any more.
    template <typename Wake>
    TimerId expire(uint64_t now_ns, Wake wake) {
        SpinLockGuard guard(lock_);
        TimerId due = TimerId::None;
        while (due == TimerId::None && !waiters_.empty() && waiters_.begin()->deadline_ns <= now_ns) {
            Deadline& waiter = *waiters_.begin();
            waiters_.erase(waiters_.begin());
            due = waiter.timer;
            if (due == TimerId::None) wake(static_cast<Thread&>(waiter));
        }
        tell_first();
        return due;
    }
    /// The earliest deadline; arch::kNever if nobody waits. Any context; on other CPUs it may be an older one.
    uint64_t first_ns() const HELIX_READS_UNLOCKED { return __atomic_load_n(&first_ns_, __ATOMIC_RELAXED); }

private:
    struct ByDeadline {
        using type = uint64_t;
        uint64_t operator()(const Deadline& waiter) const { return waiter.deadline_ns; }
    };

    void tell_first() HELIX_REQUIRES(lock_) {
        __atomic_store_n(&first_ns_, waiters_.empty() ? arch::kNever : waiters_.begin()->deadline_ns, __ATOMIC_RELAXED);
    }

    SpinLock lock_ HELIX_RANK(Timer);
    boost::intrusive::multiset<Deadline, boost::intrusive::base_hook<TimerHook>,
                               boost::intrusive::key_of_value<ByDeadline>>
        waiters_ HELIX_GUARDED_BY(lock_);
    uint64_t first_ns_ HELIX_GUARDED_BY(lock_) = arch::kNever;
};

}  // namespace helix::kernel

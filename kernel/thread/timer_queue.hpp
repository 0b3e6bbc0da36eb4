// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// TimerQueue: the threads that wait for a time on one CPU, by deadline (a red-black tree).
#pragma once

#include "kernel/thread/spin_lock.hpp"
#include "kernel/thread/thread.hpp"

namespace helix::kernel {

class TimerQueue {
public:
    /// Thread::timer_cpu of a thread that is between two queues.
    static constexpr CpuId kMoving = UINT32_MAX;

    /// `thread`, which is in no queue, is in this one of CPU `id` until its deadline. Any thread context.
    void add(Thread& thread, uint64_t deadline_ns, CpuId id) {
        SpinLockGuard guard(lock_);
        thread.deadline_ns = deadline_ns;
        threads_.insert(thread);
        __atomic_store_n(&thread.timer_cpu, id, __ATOMIC_RELEASE);
        tell_first();
    }
    /// Takes `thread` out if it is still in; false if it belongs to another queue than that of CPU `id`, this one's.
    bool remove(Thread& thread, CpuId id) {
        SpinLockGuard guard(lock_);
        if (__atomic_load_n(&thread.timer_cpu, __ATOMIC_RELAXED) != id) return false;
        if (static_cast<TimerHook&>(thread).is_linked()) {
            threads_.erase(threads_.iterator_to(thread));
            tell_first();
        }
        return true;
    }
    /// Takes out the first thread, which must be added elsewhere at once, with preemption off until then: whoever wants
    /// to remove it waits. Null if there is none. Preemption off.
    Thread* take_first() {
        SpinLockGuard guard(lock_);
        if (threads_.empty()) return nullptr;
        Thread& thread = *threads_.begin();
        threads_.erase(threads_.begin());
        __atomic_store_n(&thread.timer_cpu, kMoving, __ATOMIC_RELAXED);
        tell_first();
        return &thread;
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
        tell_first();
    }
    /// The earliest deadline; arch::kNever if nobody waits. Any context; on other CPUs it may be an older one.
    uint64_t first_ns() const HELIX_READS_UNLOCKED { return __atomic_load_n(&first_ns_, __ATOMIC_RELAXED); }

private:
    struct ByDeadline {
        using type = uint64_t;
        uint64_t operator()(const Thread& thread) const { return thread.deadline_ns; }
    };

    void tell_first() HELIX_REQUIRES(lock_) {
        __atomic_store_n(&first_ns_, threads_.empty() ? arch::kNever : threads_.begin()->deadline_ns, __ATOMIC_RELAXED);
    }

    SpinLock lock_ HELIX_RANK(Timer);
    boost::intrusive::multiset<Thread, boost::intrusive::base_hook<TimerHook>,
                               boost::intrusive::key_of_value<ByDeadline>>
        threads_ HELIX_GUARDED_BY(lock_);
    uint64_t first_ns_ HELIX_GUARDED_BY(lock_) = arch::kNever;
};

}  // namespace helix::kernel

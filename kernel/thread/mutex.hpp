// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Mutex: mutual exclusion between threads; whoever waits sleeps, and the holder inherits the waiter's priority.
#pragma once

#include "kernel/thread/cpu.hpp"
#include "kernel/thread/thread_annotations.hpp"
#include "kernel/thread/wait_queue.hpp"

namespace helix::kernel {

/// Free it is taken by one compare-exchange and freed by another. Everything else happens under the inheritance lock
/// (inheritance.hpp): the most urgent waiter gets the mutex from who unlocks it, first come first served among equals.
/// Not recursive. Unlocked by the thread that locked it, which never ends in between.
class HELIX_CAPABILITY("mutex") Mutex {
public:
    explicit Mutex(LockRank rank) : rank_(rank) {}
    Mutex(const Mutex&) = delete;
    Mutex& operator=(const Mutex&) = delete;

    void lock() HELIX_ACQUIRE() HELIX_MAY_SLEEP HELIX_NO_THREAD_SAFETY_ANALYSIS {
        lock_order::check_sleeping(rank_, this, lock_order::Wait::Forever);
        if (!take()) (void)wait(kForever, Cancellable::No);
        lock_order::acquire_sleeping(rank_, this);
    }
    /// False if it was not free within `timeout_ns`, or the thread was cancelled meanwhile. Such a wait ends, so it may
    /// be for a mutex of any rank.
    bool lock_for(uint64_t timeout_ns) HELIX_TRY_ACQUIRE(true) HELIX_MAY_SLEEP HELIX_NO_THREAD_SAFETY_ANALYSIS {
        lock_order::check_sleeping(rank_, this, lock_order::Wait::Bounded);
        if (!take() && (timeout_ns == 0 || !wait(deadline_after(timeout_ns), Cancellable::Yes))) return false;
        lock_order::acquire_sleeping(rank_, this);
        return true;
    }
    /// False if somebody holds it.
    bool try_lock() HELIX_TRY_ACQUIRE(true) { return lock_for(0); }
    void unlock() HELIX_RELEASE() HELIX_MAY_SPIN HELIX_NO_THREAD_SAFETY_ANALYSIS {
        context::require_may_spin("Mutex::unlock");
        lock_order::release_sleeping(rank_, this);
        uintptr_t word = word_of(current_thread());
        // The thread may be preempted anywhere here, but remains the same.
        if (!word_.compare_exchange_strong(word, 0, std::memory_order_release, std::memory_order_relaxed)) hand_over();
    }
    /// For the analysis, where it cannot see that the calling thread holds it; debug builds look.
    void assert_held() const HELIX_ASSERT_CAPABILITY(this) { lock_order::require_held(rank_, this); }
    bool held_by_me() const { return is_held_by(current_thread()); }
    /// At this moment, which may be over.
    bool is_held_by(const Thread& thread) const {
        return (word_.load(std::memory_order_relaxed) & ~kContended) == word_of(thread);
    }
    LockRank rank() const { return rank_; }

private:
    friend class Inheritance;
    using Waiters = boost::intrusive::list<Thread, boost::intrusive::base_hook<WaitHook>>;

    /// Bit 0 of the word, beside the address of the holder: it must come to the inheritance lock when it unlocks.
    static constexpr uintptr_t kContended = 1;

    static uintptr_t word_of(const Thread& thread) { return reinterpret_cast<uintptr_t>(&thread); }
    bool take() {
        uintptr_t word = 0;
        // Releases too: who finds this thread as the holder looks at its priority.
        return __builtin_expect(word_.compare_exchange_strong(word, word_of(current_thread()),
                                                              std::memory_order_acq_rel, std::memory_order_relaxed),
                                1);
    }
    bool wait(uint64_t deadline_ns, Cancellable cancellable);
    void hand_over();

    std::atomic<uintptr_t> word_{0};
    Waiters waiters_ HELIX_GUARDED_BY(inheritance_lock);                  // most urgent first
    Mutex* next_contended_ HELIX_GUARDED_BY(inheritance_lock) = nullptr;  // of its holder's
    const LockRank rank_;
};

class HELIX_SCOPED_CAPABILITY MutexGuard {
public:
    explicit MutexGuard(Mutex& mutex) HELIX_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
    ~MutexGuard() HELIX_RELEASE() { mutex_.unlock(); }
    MutexGuard(const MutexGuard&) = delete;
    MutexGuard& operator=(const MutexGuard&) = delete;

private:
    Mutex& mutex_;
};

}  // namespace helix::kernel

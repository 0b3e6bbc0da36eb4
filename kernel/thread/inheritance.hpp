// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Inheritance: the slow path of all mutexes. A thread runs with the highest priority of all who wait for it, directly
// or through others who wait.
//
// The basic protocol of Sha, Rajkumar and Lehoczky (Priority inheritance protocols, IEEE Transactions on Computers 39,
// 1990); what a hold lends to those for whom it waits (lending.hpp) counts like a waiter. One spin lock guards who
// waits for what, so that a chain of holders is seen and changed as a whole.
#pragma once

#include "kernel/thread/mutex.hpp"

namespace helix::kernel {

class Threads;

class Inheritance {
public:
    explicit Inheritance(Threads& threads) : threads_(threads) {}
    Inheritance(const Inheritance&) = delete;
    Inheritance& operator=(const Inheritance&) = delete;

    /// Waits until the calling thread holds `mutex`; false if it gave up.
    bool wait(Mutex& mutex, uint64_t deadline_ns, Cancellable cancellable)
        HELIX_EXCLUDES(inheritance_lock) HELIX_MAY_SLEEP;
    /// The calling thread gives `mutex`, which it holds, to the most urgent waiter, or frees it.
    void hand_over(Mutex& mutex) HELIX_EXCLUDES(inheritance_lock) HELIX_MAY_SPIN;
    /// Changes what `thread` was asked to run with. False if it is no longer `id`.
    bool set_base(Thread& thread, ThreadId id, uint32_t priority) HELIX_EXCLUDES(inheritance_lock) HELIX_MAY_SPIN;

    /// `thread`, if it still is `id`, runs before all others of its class, until that is taken back.
    void lend(Thread& thread, ThreadId id) HELIX_EXCLUDES(inheritance_lock) HELIX_MAY_SPIN;
    /// Nothing, if nothing was lent to it.
    void take_back(Thread& thread) HELIX_EXCLUDES(inheritance_lock) HELIX_MAY_SPIN;

    /// Whether `thread` runs with what it should, as far as it can be seen from its own mutexes. For tests.
    bool is_consistent(Thread& thread) HELIX_EXCLUDES(inheritance_lock);

private:
    /// The analysis knows the lock by the name that mutexes and threads have for it.
    SpinLock& lock() HELIX_RETURN_CAPABILITY(inheritance_lock) { return lock_; }
    void enter(Mutex& mutex, Thread& waiter) HELIX_REQUIRES(inheritance_lock);
    /// `waiter` is in the list of `mutex`.
    void leave(Mutex& mutex, Thread& waiter) HELIX_REQUIRES(inheritance_lock);
    uint32_t due(const Thread& thread) const HELIX_REQUIRES(inheritance_lock);
    /// Sets what `thread` runs with, and along the chain what holders run with for whom it waits.
    void adjust(Thread& thread) HELIX_REQUIRES(inheritance_lock);

    Threads& threads_;
    SpinLock lock_ HELIX_RANK(Inheritance);
};

}  // namespace helix::kernel

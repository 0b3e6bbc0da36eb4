// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// RwLock: who enters, who waits, and who goes next.

#include "kernel/thread/rw_lock.hpp"

#include "kernel/thread/cpu.hpp"

namespace helix::kernel {

bool RwLock::acquire(bool alone, uint64_t deadline_ns, Cancellable cancellable) {
    lock_order::check_sleeping(rank_, this,
                               deadline_ns == kForever ? lock_order::Wait::Forever : lock_order::Wait::Bounded);
    lock_.lock();
    bool entered = waiting_.empty() && fits(alone);
    if (entered) {
        enter(alone);
        lock_.unlock();
    } else {
        count_lock(rank_, LockCount::Contended);
        Waiter self(current_thread(), alone);
        waiting_.push(self);
        for (WakeReason reason = WakeReason::None; !self.granted && reason == WakeReason::None; lock_.lock())
            reason = wait_unlocking(lock_, deadline_ns, cancellable);
        entered = waiting_.leave(self);
        if (!entered) {
            count_lock(rank_, LockCount::Expired);
            grant();  // those behind may have waited for this one only
        }
        lock_.unlock();
    }
    if (entered) lock_order::acquire_sleeping(rank_, this);
    return entered;
}

void RwLock::release(bool alone) {
    lock_order::release_sleeping(rank_, this);
    SpinLockGuard guard(lock_);
    if (alone)
        writing_ = false;
    else
        --readers_;
    grant();
}

void RwLock::enter(bool alone) {
    if (alone)
        writing_ = true;
    else
        ++readers_;
}

void RwLock::grant() {
    while (!waiting_.empty() && fits(waiting_.front().wants_alone)) {
        enter(waiting_.front().wants_alone);
        waiting_.grant_first();
    }
}

}  // namespace helix::kernel

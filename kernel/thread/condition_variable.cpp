// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ConditionVariable: waiting and signalling.

#include "kernel/thread/condition_variable.hpp"

namespace helix::kernel {

Result<void> ConditionVariable::wait(Mutex& mutex, uint64_t timeout_ns) {
    switch (wait_for_signal(mutex, deadline_after(timeout_ns))) {
        case WakeReason::TimedOut: return ErrorCode::TimedOut;
        case WakeReason::Cancelled: return ErrorCode::Cancelled;
        default: return {};
    }
}

WakeReason ConditionVariable::wait_for_signal(Mutex& mutex, uint64_t deadline_ns) {
    context::require_may_sleep("ConditionVariable::wait");
    Thread& self = current_thread();
    Waiter waiter(self);
    lock_.lock();
    waiting_.push(waiter);
    begin_wait(self, deadline_ns, Cancellable::Yes);
    preempt_disable();
    lock_.unlock();
    mutex.unlock();
    WakeReason reason = finish_wait(self, deadline_ns);
    preempt_enable();
    lock_.lock();
    while (!waiter.granted && reason == WakeReason::None) {
        reason = wait_unlocking(lock_, deadline_ns, Cancellable::Yes);
        lock_.lock();
    }
    if (waiting_.leave(waiter)) reason = WakeReason::Signalled;
    lock_.unlock();
    mutex.lock();
    return reason;
}

void ConditionVariable::signal_one() {
    SpinLockGuard guard(lock_);
    if (!waiting_.empty()) waiting_.grant_first();
}

void ConditionVariable::signal_all() {
    SpinLockGuard guard(lock_);
    while (!waiting_.empty()) waiting_.grant_first();
}

}  // namespace helix::kernel

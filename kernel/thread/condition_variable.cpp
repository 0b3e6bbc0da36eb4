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
    Waiter waiter(current_thread());
    lock_.lock();
    waiting_.push(waiter);
    lock_.unlock();
    mutex.unlock();  // from here on somebody may signal
    lock_.lock();
    WakeReason reason = WakeReason::None;
    for (; !waiter.granted && reason == WakeReason::None; lock_.lock())
        reason = wait_unlocking(lock_, deadline_ns, Cancellable::Yes);
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

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// WaitQueue: waiting with time-out and cancellation.

#include "kernel/thread/wait_queue.hpp"

#include "kernel/kernel.hpp"

namespace helix::kernel {

uint64_t deadline_after(uint64_t timeout_ns) {
    if (timeout_ns == kForever) return kForever;
    uint64_t deadline = 0;
    return __builtin_add_overflow(arch::now_ns(), timeout_ns, &deadline) ? kForever : deadline;
}

namespace {
/// Whether the wait that the calling thread is in, or about to be in, was ended: by who ends its owner, or the instance
/// that it waits in.
bool is_cancelled(const Thread& self) {
    return self.cancellable && (self.cancelled || Threads::wait_is_over(self));
}
}  // namespace

WakeReason wait_unlocking(SpinLock& lock, uint64_t deadline_ns, Cancellable cancellable) {
    context::require_preemption_off("wait_unlocking");
    Threads& threads = this_kernel().threads;
    Thread& self = current_thread();
    self.wake_reason = WakeReason::None;
    self.cancellable = cancellable == Cancellable::Yes;
    if (deadline_ns != kForever) threads.timers().add(self, deadline_ns);
    // Whoever cancels says so first and then looks at `cancellable`; this thread did it the other way round.
    if (is_cancelled(self)) threads.wake(self, WakeReason::Cancelled);
    preempt_disable();
    lock.unlock();
    threads.block();
    if (deadline_ns != kForever) threads.timers().remove(self);
    WakeReason reason = self.wake_reason;
    // Whoever cancels looks at a thread before it wakes it: that may have been in an earlier wait.
    if (reason == WakeReason::Cancelled && !is_cancelled(self)) reason = WakeReason::None;
    self.cancellable = false;
    preempt_enable();
    return reason;
}

WakeReason WaitQueue::wait_in_line(uint64_t deadline_ns, Cancellable cancellable) {
    Thread& self = current_thread();
    waiting_.push_back(self);
    WakeReason reason = WakeReason::None;
    for (; static_cast<WaitHook&>(self).is_linked() && reason == WakeReason::None; lock_.lock())
        reason = wait_unlocking(lock_, deadline_ns, cancellable);
    if (static_cast<WaitHook&>(self).is_linked()) waiting_.erase(waiting_.iterator_to(self));
    return reason;
}

void WaitQueue::wake_waiting(size_t count) {
    Threads& threads = this_kernel().threads;
    for (; count > 0 && !waiting_.empty(); --count) {
        Thread& thread = waiting_.front();
        waiting_.pop_front();
        // One that runs out of time in this moment, or is cancelled, looks at its condition nevertheless.
        (void)threads.wake(thread, WakeReason::Signalled);
    }
}

}  // namespace helix::kernel

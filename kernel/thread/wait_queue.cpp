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

void begin_wait(Thread& self, uint64_t deadline_ns, Cancellable cancellable) {
    context::require_preemption_off("begin_wait");
    Threads& threads = this_kernel().threads;
    self.wake_reason = WakeReason::None;
    self.cancellable = cancellable == Cancellable::Yes;
    if (deadline_ns != kForever) threads.timers().add(self, deadline_ns);
    // Whoever cancels says so first and then looks at `cancellable`; this thread did it the other way round.
    if (cancellable == Cancellable::Yes && (self.cancelled || threads.wait_is_over(self)))
        threads.wake(self, WakeReason::Cancelled);
}

WakeReason finish_wait(Thread& self, uint64_t deadline_ns) {
    Threads& threads = this_kernel().threads;
    threads.block();
    self.cancellable = false;
    if (deadline_ns != kForever) threads.timers().remove(self);
    return self.wake_reason;
}

WakeReason wait_unlocking(SpinLock& lock, uint64_t deadline_ns, Cancellable cancellable) {
    Thread& self = current_thread();
    begin_wait(self, deadline_ns, cancellable);
    preempt_disable();
    lock.unlock();
    const WakeReason reason = finish_wait(self, deadline_ns);
    preempt_enable();
    return reason;
}

WakeReason WaitQueue::wait_and_unlock(uint64_t deadline_ns, Cancellable cancellable) {
    Thread& self = current_thread();
    waiting_.push_back(self);
    const WakeReason reason = wait_unlocking(lock_, deadline_ns, cancellable);
    lock_.lock();
    if (static_cast<WaitHook&>(self).is_linked()) waiting_.erase(waiting_.iterator_to(self));
    lock_.unlock();
    return reason;
}

void WaitQueue::wake_waiting(size_t count) {
    Threads& threads = this_kernel().threads;
    while (count > 0 && !waiting_.empty()) {
        Thread& thread = waiting_.front();
        waiting_.pop_front();
        if (threads.wake(thread, WakeReason::Signalled)) --count;
    }
}

}  // namespace helix::kernel

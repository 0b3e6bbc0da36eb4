// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Waiters: granting.

#include "kernel/thread/waiters.hpp"

#include "kernel/kernel.hpp"

namespace helix::kernel {

void Waiters::grant_first() {
    Waiter& first = line_.front();
    line_.pop_front();
    first.granted = true;
    // The record stays: its thread has to come by the lock, which the caller holds, before it leaves.
    (void)this_kernel().threads.wake(first.thread, WakeReason::Signalled);
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A lock for data that a policy's bounded methods share between CPUs.
#pragma once

#include "helix/gate.hpp"

/// Preemption is off while it is held, so that a holder never waits for its CPU. Held briefly; not recursive. If the
/// instance fails while it is held, nobody calls the instance again.
class SpinFlag {
public:
    void lock() {
        helix::preempt_disable();
        while (__atomic_exchange_n(&held_, 1u, __ATOMIC_ACQUIRE) != 0)
            while (__atomic_load_n(&held_, __ATOMIC_RELAXED) != 0) asm volatile("" ::: "memory");
    }
    void unlock() {
        __atomic_store_n(&held_, 0u, __ATOMIC_RELEASE);
        helix::preempt_enable();
    }

private:
    uint32_t held_ = 0;
};

class SpinFlagGuard {
public:
    explicit SpinFlagGuard(SpinFlag& flag) : flag_(flag) { flag_.lock(); }
    ~SpinFlagGuard() { flag_.unlock(); }
    SpinFlagGuard(const SpinFlagGuard&) = delete;
    SpinFlagGuard& operator=(const SpinFlagGuard&) = delete;

private:
    SpinFlag& flag_;
};

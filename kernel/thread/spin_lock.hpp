// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// SpinLock: the kernel's lowest lock. It turns preemption off, has a rank from birth, and never sleeps.
#pragma once

#include "arch/seam.hpp"
#include "helix/gate.hpp"
#include "kernel/thread/lock_order.hpp"
#include "kernel/thread/thread_annotations.hpp"

namespace helix::kernel {

/// Threads and, where the count was zero, interrupt handlers may take it. Held for a bounded time.
class HELIX_CAPABILITY("spin lock") SpinLock {
public:
    constexpr explicit SpinLock(LockRank rank) : rank_(rank) {}
    SpinLock(const SpinLock&) = delete;
    SpinLock& operator=(const SpinLock&) = delete;

    /// Preemption is off from here to unlock.
    void lock() HELIX_ACQUIRE() HELIX_MAY_SPIN {
        preempt_disable();
        lock_order::acquire(rank_, this);
        if (__builtin_expect(__atomic_exchange_n(&locked_, 1u, __ATOMIC_ACQUIRE) != 0, 0)) spin();
    }
    /// May switch to another thread before it returns, once the lock is free.
    void unlock() HELIX_RELEASE() {
        lock_order::release(rank_, this);
        __atomic_store_n(&locked_, 0u, __ATOMIC_RELEASE);
        preempt_enable();
    }

    LockRank rank() const { return rank_; }

private:
    __attribute__((noinline)) void spin() {
        count_lock(rank_, LockCount::Contended);
        do {
            while (__atomic_load_n(&locked_, __ATOMIC_RELAXED) != 0) arch::spin_hint();
        } while (__atomic_exchange_n(&locked_, 1u, __ATOMIC_ACQUIRE) != 0);
    }

    uint32_t locked_ = 0;
    const LockRank rank_;
};

class HELIX_SCOPED_CAPABILITY SpinLockGuard {
public:
    explicit SpinLockGuard(SpinLock& lock) HELIX_ACQUIRE(lock) : lock_(lock) { lock_.lock(); }
    ~SpinLockGuard() HELIX_RELEASE() { lock_.unlock(); }
    SpinLockGuard(const SpinLockGuard&) = delete;
    SpinLockGuard& operator=(const SpinLockGuard&) = delete;

private:
    SpinLock& lock_;
};

}  // namespace helix::kernel

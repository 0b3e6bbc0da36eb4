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
        interleave();
        preempt_disable();
        lock_order::acquire(rank_, this);
        if (__builtin_expect(__atomic_exchange_n(&locked_, 1u, __ATOMIC_ACQUIRE) != 0, 0)) spin();
    }
    /// False if it was not free within `timeout_ns`; 0 looks once. Preemption is off while it waits, and from here to
    /// unlock if it has the lock. The order of locks holds for it too: who waits does not sleep meanwhile.
    bool lock_for(uint64_t timeout_ns) HELIX_TRY_ACQUIRE(true) HELIX_MAY_SPIN {
        interleave();
        preempt_disable();
        lock_order::acquire(rank_, this);
        if (__atomic_exchange_n(&locked_, 1u, __ATOMIC_ACQUIRE) == 0 || spin_for(timeout_ns)) return true;
        lock_order::release(rank_, this);
        preempt_enable();
        return false;
    }
    /// False if somebody holds it.
    bool try_lock() HELIX_TRY_ACQUIRE(true) HELIX_MAY_SPIN { return lock_for(0); }
    /// May switch to another thread before it returns, once the lock is free.
    void unlock() HELIX_RELEASE() {
        lock_order::release(rank_, this);
        __atomic_store_n(&locked_, 0u, __ATOMIC_RELEASE);
        preempt_enable();
    }

    LockRank rank() const { return rank_; }

private:
    /// Under replay others may take their turn between two locks of one operation, where the order of locks is checked.
    static void interleave() {
#if defined(HELIX_DEBUG_LOCKS)
        arch::preemption_point();
#endif
    }
    __attribute__((noinline)) void spin() {
        count_lock(rank_, LockCount::Contended);
        do {
            while (__atomic_load_n(&locked_, __ATOMIC_RELAXED) != 0) arch::spin_hint();
        } while (__atomic_exchange_n(&locked_, 1u, __ATOMIC_ACQUIRE) != 0);
    }
    __attribute__((noinline)) bool spin_for(uint64_t timeout_ns) {
        count_lock(rank_, LockCount::Contended);
        const uint64_t begin_ns = arch::now_ns();
        while (arch::now_ns() - begin_ns < timeout_ns) {
            arch::spin_hint();
            if (__atomic_load_n(&locked_, __ATOMIC_RELAXED) != 0) continue;
            if (__atomic_exchange_n(&locked_, 1u, __ATOMIC_ACQUIRE) == 0) return true;
        }
        count_lock(rank_, LockCount::Expired);
        return false;
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

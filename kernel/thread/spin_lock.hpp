// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// SpinLock: the kernel's lowest lock. It turns preemption off, has a rank from birth, and never sleeps.
#pragma once

#include "arch/seam.hpp"
#include "helix/gate.hpp"
#include "kernel/thread/thread_annotations.hpp"

namespace helix::kernel {

/// Outermost first. A CPU that holds a lock takes only locks of a strictly later rank; Cpu locks alone may be taken
/// beside each other, in ascending order of their CPU.
enum class LockRank : uint8_t {
    ModuleSystem,
    Slot,
    ThreadTable,
    WaitQueue,  ///< a waiter enters Timer, and a waker Cpu, with its queue locked
    Semaphore,
    Timer,
    Cpu,
    CpuAreas,
    Heap,
    Region,
    Mapping,  ///< around the port's page tables, which take frames from Pages
    Pages,
    Log,
    Console,  ///< leaf
};

class SpinLock;

/// The run-time check of the order. Its records hang on the CPU: a holder is not preempted, and a lock that is held
/// across a switch is released on the same CPU.
namespace lock_order {
#if defined(HELIX_DEBUG_LOCKS)
/// Panics if this CPU holds a lock after which `lock` may not be taken; records it otherwise. Preemption off.
void acquire(const SpinLock& lock);
void release(const SpinLock& lock);
/// Panics if this CPU holds a spin lock. For functions that may call into a module.
void require_none(Text caller);
#else
inline void acquire(const SpinLock&) {}
inline void release(const SpinLock&) {}
inline void require_none(Text) {}
#endif
}  // namespace lock_order

/// Threads and, where the count was zero, interrupt handlers may take it. Held for a bounded time.
class HELIX_CAPABILITY("spin lock") SpinLock {
public:
    /// `cpu` orders locks of rank Cpu among each other.
    constexpr explicit SpinLock(LockRank rank, CpuId cpu = 0) : rank_(rank), cpu_(cpu) {}
    SpinLock(const SpinLock&) = delete;
    SpinLock& operator=(const SpinLock&) = delete;

    /// Preemption is off from here to unlock.
    void lock() HELIX_ACQUIRE() {
        preempt_disable();
        lock_order::acquire(*this);
        while (__builtin_expect(__atomic_exchange_n(&locked_, 1u, __ATOMIC_ACQUIRE) != 0, 0))
            while (__atomic_load_n(&locked_, __ATOMIC_RELAXED) != 0) arch::spin_hint();
    }
    /// May switch to another thread before it returns, once the lock is free.
    void unlock() HELIX_RELEASE() {
        lock_order::release(*this);
        __atomic_store_n(&locked_, 0u, __ATOMIC_RELEASE);
        preempt_enable();
    }

    LockRank rank() const { return rank_; }
    CpuId cpu() const { return cpu_; }

private:
    uint32_t locked_ = 0;
    const LockRank rank_;
    const CpuId cpu_;
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

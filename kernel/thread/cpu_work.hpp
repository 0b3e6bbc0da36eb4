// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// CpuWork: what one CPU wants others to do, and the queue of such things that each CPU has.
//
// Any number of CPUs put things into a queue, without a lock and without waiting for each other; the CPU itself takes
// all of them at once. The list is Treiber's stack (Systems programming: coping with parallelism, IBM 1986); since
// nobody takes single things out of it, one that comes again at the same address does no harm.
#pragma once

#include "arch/seam.hpp"
#include "kernel/thread/context.hpp"

namespace helix::kernel {

/// Something to be done once on each of several CPUs. It belongs to who asks, usually on its stack, and lives until
/// is_done.
class CpuWork {
public:
    CpuWork(void (*action)(void*), void* argument) : action_(action), argument_(argument) {}
    CpuWork(const CpuWork&) = delete;
    CpuWork& operator=(const CpuWork&) = delete;

    /// So many CPUs are to do it: before the first of them can find it.
    void begin(uint32_t cpus) { __atomic_store_n(&remaining_, cpus, __ATOMIC_RELAXED); }
    /// So many of those have done it, or need not. What they wrote before is seen by who finds that it is done.
    void finish(uint32_t cpus) { __atomic_fetch_sub(&remaining_, cpus, __ATOMIC_SEQ_CST); }
    bool is_done() const { return __atomic_load_n(&remaining_, __ATOMIC_ACQUIRE) == 0; }

private:
    friend class CpuWorkQueue;

    void (*const action_)(void*);
    void* const argument_;
    uint32_t remaining_ = 0;             // atomic
    CpuWork* next_[arch::kMaximumCpus];  // in the queue of each CPU: what came before; set when it is put there
};

/// Closed at first: what is put into a closed queue is refused.
class CpuWorkQueue {
public:
    enum class Put : uint8_t {
        Refused,  ///< the CPU takes no part, and has left all behind that it did before
        First,    ///< nothing was waiting: nobody has told the CPU yet
        Behind,   ///< whoever came first tells the CPU, or has told it
    };
    /// Puts `work` into this queue, that of CPU `id`. Each CPU gets it once.
    Put put(CpuWork& work, CpuId id) HELIX_MAY_SPIN {
        CpuWork* newest = nullptr;
        work.next_[id] = nullptr;
        if (__builtin_expect(replace(newest, work), 1)) return Put::First;
        return put_behind(newest, work, id);
    }

    // ---- CPU `id` itself, whose queue it is; preemption off.

    /// Does what waits, in the order in which it came.
    void run(CpuId id) HELIX_PREEMPTION_OFF {
        if (__builtin_expect(__atomic_load_n(&newest_, __ATOMIC_RELAXED) != nullptr, 0)) run_taken(id, nullptr);
    }
    /// Nothing changes if it is open.
    void open() HELIX_PREEMPTION_OFF {
        CpuWork* newest = closed();
        __atomic_compare_exchange_n(&newest_, &newest, nullptr, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    }
    /// Does what waits; from then on everything is refused.
    void close(CpuId id) HELIX_PREEMPTION_OFF { run_taken(id, closed()); }

private:
    static CpuWork* closed() { return reinterpret_cast<CpuWork*>(uintptr_t{1}); }
    /// False if `newest` is not the newest any more: it is, when this returns.
    bool replace(CpuWork*& newest, CpuWork& by) {
        return __atomic_compare_exchange_n(&newest_, &newest, &by, false, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE);
    }
    Put put_behind(CpuWork* newest, CpuWork& work, CpuId id);
    void run_taken(CpuId id, CpuWork* instead);

    CpuWork* newest_ = closed();  // atomic
};

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Cpu: what the kernel keeps for each CPU, and the lock that guards its queues.
#pragma once

#include "kernel/thread/cpu_work.hpp"
#include "kernel/thread/thread.hpp"
#include "kernel/thread/timer_queue.hpp"
#include "kernel/trace/trace_ring.hpp"

namespace helix::kernel {

struct Kernel;

/// Guards one CPU's queues and the scheduling state of its threads. Held across a context switch and released by
/// whoever runs next, so it is not tied to a scope. Preemption is off while it is held; the holder sees to that.
/// Several are taken in ascending CPU order. The analysis at compile time does not know of switches: for it a thread
/// holds the lock that it took until Threads::release_after_switch.
class HELIX_CAPABILITY("CPU lock") CpuLock {
public:
    void acquire() HELIX_ACQUIRE() HELIX_PREEMPTION_OFF {
        lock_order::acquire(LockRank::Cpu, this);
        if (__builtin_expect(__atomic_exchange_n(&held_, 1, __ATOMIC_ACQUIRE) != 0, 0)) spin();
    }
    void release() HELIX_RELEASE() HELIX_PREEMPTION_OFF {
        lock_order::release(LockRank::Cpu, this);
        __atomic_store_n(&held_, 0, __ATOMIC_RELEASE);
    }
    /// For the analysis, where it cannot see that the calling CPU holds it; debug builds look.
    void assert_held() const HELIX_ASSERT_CAPABILITY(this) { lock_order::require_held(LockRank::Cpu, this); }
    bool is_held() const { return __atomic_load_n(&held_, __ATOMIC_RELAXED) != 0; }

private:
    __attribute__((noinline)) void spin() {
        count_lock(LockRank::Cpu, LockCount::Contended);
        do {
            while (__atomic_load_n(&held_, __ATOMIC_RELAXED) != 0) arch::spin_hint();
        } while (__atomic_exchange_n(&held_, 1, __ATOMIC_ACQUIRE) != 0);
    }

    uint32_t held_ = 0;
};

/// All CPU locks at a time, by name: who holds them may also change what each of them guards alone. Never defined.
class HELIX_CAPABILITY("all CPU locks") AllCpuLocks {};
extern AllCpuLocks all_cpu_locks HELIX_RANKED(Cpu);

struct alignas(64) Cpu {
    CpuLocal local{};  ///< first: `%gs` points here
    Kernel* kernel = nullptr;

    CpuLock lock HELIX_RANKED(Cpu);
    // Beside the lock, which whoever changes it has just taken.
    uint32_t ruling HELIX_GUARDED_BY(lock) = 0;  ///< the place of the policy that rules here; policy_slot.hpp
    // Changed with the lock held, and read without: by the CPU itself, with preemption off, or by those who may see an
    // older one.
    Thread* current = nullptr;
    Thread* idle = nullptr;           ///< fixed
    Relaxed<size_t> ready_count = 0;  ///< of policy_ready
    uint64_t switched_at_cycles = 0;
    uint64_t switches = 0;
    TraceRing trace;                ///< not of the lock: see there
    Relaxed<bool> leaving = false;  ///< it is going offline: it runs nothing but its idle thread

    Relaxed<Thread*> misplaced = nullptr;               ///< perhaps it should wait elsewhere; set with the lock held
    bool evicts HELIX_GUARDED_BY(lock) = false;         ///< `leaving` holds for the next pick only, under one lock
    bool give_way HELIX_GUARDED_BY(lock) = false;       ///< a woken thread should run before the current one
    Thread* previous HELIX_GUARDED_BY(lock) = nullptr;  ///< who ran before the switch that is being finished
    ReadyList kernel_ready HELIX_GUARDED_BY(lock);      ///< threads of the kernel class, first come first served
    ReadyList ended HELIX_GUARDED_BY(lock);             ///< threads whose stacks the reaper gives back
    /// All runnable threads of the policy class: the kernel's truth, and its FIFO.
    ReadyList policy_ready HELIX_GUARDED_BY(lock);
    uint64_t fifo_picks HELIX_GUARDED_BY(lock) = 0;    ///< threads that the built-in FIFO had to pick
    Thread* watched HELIX_GUARDED_BY(lock) = nullptr;  ///< whom `vigil` is about; null: nobody
    Vigil vigil HELIX_GUARDED_BY(lock);
    uint32_t policy_ticks HELIX_GUARDED_BY(lock) = 0;  ///< looked at by it, modulo 2^32
    SchedulerCpu view[Thread::kPolicies] HELIX_GUARDED_BY(lock) = {};

    Thread idle_thread;
    CpuWorkQueue work;     ///< what other CPUs want done here
    bool stopped = false;  ///< it has left; atomic

    TimerQueue timers;
    // This CPU's timer: of its interrupt handlers, and of its threads with preemption off; timers.cpp.
    uint64_t programmed_ns = arch::kNever;  ///< what it is set for
    uint64_t tick_at_ns = arch::kNever;     ///< its next tick; never: it has none. Others read it
    uint64_t share_at_ns = arch::kNever;    ///< when a woken thread has waited here for long; never: none does
    bool signals_due = false;               ///< a timer of a module's signals; who runs here wakes nobody thereby
    bool is_asleep = false;                 ///< its idle thread waits for an interrupt, and runs nothing meanwhile
    // What it watches, of its own too; watchdog.cpp.
    uint64_t watch_at_ns = arch::kNever;  ///< when it looks; never: it does not watch. Others read it
    uint64_t watch_ticks = 0;             ///< what it saw last, of this CPU:
    CpuId watch_cpu = 0;
    uint32_t watch_wanted = 0;           ///< another CPU wants to be watched; atomic
    uint64_t late_ticks = arch::kNever;  ///< `ticks` when this CPU was last found late, with interrupts disabled
    uint32_t late_looks = 0;             ///< how often in a row, without a tick between

    // Written by this CPU's interrupt handlers only; single machine instructions.
    uint64_t ticks = 0;
    uint32_t tick_pending = 0;
    uint32_t input_pending = 0;
    uint32_t reap_pending = 0;
    uint32_t failure_pending = 0;  ///< a module failed here: wake the supervisor at the next chance
};

inline Cpu& this_cpu() {
    return *reinterpret_cast<Cpu*>(cpu_local());
}
// One instruction each: between two, the thread might go on elsewhere.
inline Thread& current_thread() {
    Thread* thread;
    asm volatile("movq %%gs:24, %0" : "=r"(thread)::"memory");
    return *thread;
}
/// Null before the first thread runs, and in unit tests of what knows no threads.
inline Thread* current_thread_or_null() {
    Thread* thread;
    asm volatile("movq %%gs:24, %0" : "=r"(thread)::"memory");
    return thread;
}

/// The CPU will look for another thread as soon as preemption allows. Own CPU; any context.
inline void want_reschedule() {
    asm volatile("andl %0, %%gs:0" ::"i"(0x7fffffff) : "memory", "cc");
}
/// Forgets that a reschedule was wanted. Own CPU, preemption off.
inline void clear_reschedule() {
    asm volatile("orl %0, %%gs:0" ::"i"(static_cast<int>(kNoRescheduleWanted)) : "memory", "cc");
}
/// Lowers the preemption count without looking whether a reschedule is wanted.
inline void preempt_enable_quietly() {
    asm volatile("decl %%gs:0" ::: "memory", "cc");
}
/// Makes `gate` the innermost of the calling thread.
inline void set_current_gate(Gate* gate) {
    asm volatile("movq %0, %%gs:8" ::"r"(gate) : "memory");
}
/// Takes `gate`, the innermost, out of the chain, since the thread is about to continue behind it: an interrupt on the
/// way there finds nothing of the failed call any more. Own thread.
inline void leave_gate(const Gate& gate) {
    set_current_gate(gate.previous());
}
/// Whether a bounded call is under way on this thread: it is not preempted, though nothing counts that.
inline bool in_bounded_call() {
    for (const Gate* gate = current_gate(); gate != nullptr; gate = gate->previous())
        if (gate->kind() == GateKind::Bounded) return true;
    return false;
}
/// Whether the calling thread may block.
inline bool may_block() {
    return preempt_count() == 0 && !in_bounded_call();
}
/// Whether a bounded gate is in the chain but has not looked at its slot yet: what happens there is the caller's.
inline bool is_opening(const Gate& gate) {
    return gate.kind() == GateKind::Bounded && __atomic_load_n(&gate.instance, __ATOMIC_RELAXED) == nullptr;
}
inline bool reschedule_wanted() {
    uint32_t word;
    asm volatile("movl %%gs:0, %0" : "=r"(word)::"memory");
    return (word & kNoRescheduleWanted) == 0;
}

}  // namespace helix::kernel

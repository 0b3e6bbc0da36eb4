// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Names and counts of ranks, and the run-time checks of lock order and context, for builds with HELIX_DEBUG_LOCKS.

#include "kernel/thread/lock_order.hpp"

#include "kernel/thread/cpu.hpp"

#if defined(HELIX_DEBUG_LOCKS)
#include "helix/format.hpp"
#include "kernel/panic.hpp"
#endif

namespace helix::kernel {

namespace {

constexpr Text kRankNames[] = {"ModuleChange", "ModuleCall", "ModuleRegistry", "CpuChange",   "SleepingLeaf", "Slot",
                               "ThreadTable",  "WaitQueue",  "Semaphore",      "Inheritance", "Timer",        "Cpu",
                               "CpuAreas",     "Heap",       "Region",         "Mapping",     "Pages",        "Log"};
static_assert(sizeof(kRankNames) / sizeof(kRankNames[0]) == kLockRanks);

constinit LockCounts counts[kLockRanks] = {};  // atomic

}  // namespace

Text describe(LockRank rank) {
    return kRankNames[static_cast<size_t>(rank)];
}

void count_lock(LockRank rank, LockCount count) {
    LockCounts& of = counts[static_cast<size_t>(rank)];
    uint64_t& counter = count == LockCount::Contended ? of.contended
                        : count == LockCount::Expired ? of.expired
                                                      : of.inherited;
    __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
}

LockCounts lock_counts(LockRank rank) {
    const LockCounts& of = counts[static_cast<size_t>(rank)];
    return {__atomic_load_n(&of.contended, __ATOMIC_RELAXED), __atomic_load_n(&of.expired, __ATOMIC_RELAXED),
            __atomic_load_n(&of.inherited, __ATOMIC_RELAXED)};
}

#if defined(HELIX_DEBUG_LOCKS)

namespace {

/// A hold of all Cpu locks, and one of every other rank.
constexpr size_t kDepth = arch::kMaximumCpus + kLockRanks;

struct HeldLocks {
    HeldLock locks[kDepth];
    size_t count;
};
/// Each CPU uses its own entry, with preemption off.
constinit HeldLocks held_locks[arch::kMaximumCpus] = {};

/// Handlers that a CPU is in, and those among them that came upon preemption off. A CPU's own, as above.
struct Interrupts {
    uint32_t depth;
    uint32_t upon_locks;
};
constinit Interrupts interrupts[arch::kMaximumCpus] = {};

bool may_follow(const HeldLock& taken, const HeldLock& held) {
    if (taken.rank > held.rank) return true;
    // The areas of CPUs lie in ascending order.
    return taken.rank == LockRank::Cpu && held.rank == LockRank::Cpu && taken.lock > held.lock;
}

/// A panic may go through the kernel again: the records of this CPU and thread end here.
[[noreturn]] void violation(Text sentence) {
    preempt_disable();
    held_locks[current_cpu()].count = 0;
    interrupts[current_cpu()] = {};
    if (Thread* const thread = current_thread_or_null()) thread->held_count = 0;
    panic(sentence);
}

[[noreturn]] void wrong_order(const HeldLock& taken, const HeldLock& held) {
    violation(
        format("lock order: rank {} taken while rank {} is held", describe(taken.rank), describe(held.rank)).text());
}

}  // namespace

namespace lock_order {

void acquire(LockRank rank, const void* lock) {
    context::require_preemption_off("a spin lock");
    context::require_may_spin(describe(rank));
    HeldLocks& held = held_locks[current_cpu()];
    const HeldLock taken{lock, rank};
    for (size_t i = 0; i < held.count; ++i)
        if (!may_follow(taken, held.locks[i])) wrong_order(taken, held.locks[i]);
    if (held.count == kDepth) violation("lock order: more locks held than there are ranks");
    held.locks[held.count++] = taken;
}

void release(LockRank rank, const void* lock) {
    HeldLocks& held = held_locks[current_cpu()];
    for (size_t i = held.count; i-- > 0;) {
        if (held.locks[i].lock != lock) continue;
        held.locks[i] = held.locks[--held.count];
        return;
    }
    violation(format("lock order: rank {} released but not held by this CPU", describe(rank)).text());
}

void check_sleeping(LockRank rank, const void* lock, Wait wait) {
    context::require_may_sleep(describe(rank));
    const Thread* const thread = current_thread_or_null();
    if (thread == nullptr) return;
    const HeldLock taken{lock, rank};
    for (size_t i = 0; i < thread->held_count; ++i)
        if (wait == Wait::Forever && !may_follow(taken, thread->held[i])) wrong_order(taken, thread->held[i]);
}

void acquire_sleeping(LockRank rank, const void* lock) {
    Thread* const thread = current_thread_or_null();
    if (thread == nullptr) return;
    if (thread->held_count == Thread::kMaximumHeld) violation("lock order: a thread holds too many locks");
    thread->held[thread->held_count++] = {lock, rank};
}

void release_sleeping(LockRank rank, const void* lock) {
    Thread* const thread = current_thread_or_null();
    if (thread == nullptr) return;
    for (size_t i = thread->held_count; i-- > 0;) {
        if (thread->held[i].lock != lock) continue;
        thread->held[i] = thread->held[--thread->held_count];
        return;
    }
    violation(format("lock order: rank {} released but not held by this thread", describe(rank)).text());
}

void require_held(LockRank rank, const void* lock) {
    const auto is_among = [&](const HeldLock* held, size_t count) {
        for (size_t i = 0; i < count; ++i)
            if (held[i].lock == lock) return true;
        return false;
    };
    const PreemptionGuard guard;
    const Thread* const thread = current_thread_or_null();
    const HeldLocks& here = held_locks[current_cpu()];
    if (sleeps(rank) ? thread == nullptr || is_among(thread->held, thread->held_count)
                     : is_among(here.locks, here.count))
        return;
    violation(format("lock order: rank {} is not held, and should be", describe(rank)).text());
}

void require_none(Text caller) {
    PreemptionGuard guard;
    HeldLocks& held = held_locks[current_cpu()];
    if (held.count != 0)
        violation(format("{} called while a lock of rank {} is held", caller, describe(held.locks[0].rank)).text());
}

void require_no_sleeping(Text caller) {
    const Thread* const thread = current_thread_or_null();
    if (thread != nullptr && thread->held_count != 0)
        violation(format("{} called while a lock of rank {} is held", caller, describe(thread->held[0].rank)).text());
}

}  // namespace lock_order

namespace context {

namespace {
/// Read where the thread cannot go elsewhere in between.
Interrupts interrupts_here() {
    const PreemptionGuard guard;
    return interrupts[current_cpu()];
}
}  // namespace

Interrupt::Interrupt() : came_upon_locks_(preempt_count() > 1) {
    require_preemption_off("an interrupt's handler");
    Interrupts& here = interrupts[current_cpu()];
    ++here.depth;
    here.upon_locks += came_upon_locks_;
}

Interrupt::~Interrupt() {
    Interrupts& here = interrupts[current_cpu()];
    --here.depth;
    here.upon_locks -= came_upon_locks_;
}

void require_may_spin(Text function) {
    if (interrupts_here().upon_locks != 0)
        violation(format("context: {} takes locks, and an interrupt came upon preemption off", function).text());
}

void require_interrupt(Text function) {
    if (interrupts_here().depth == 0)
        violation(format("context: {} is part of an interrupt's handler", function).text());
}

void require_may_sleep(Text function) {
    if (interrupts_here().depth != 0)
        violation(format("context: {} may sleep, and this is an interrupt's handler", function).text());
    lock_order::require_none(function);
    if (!may_block()) violation(format("context: {} may sleep, and preemption is off", function).text());
}

void require_preemption_off(Text function) {
    if (preempt_count() == 0) violation(format("context: {} needs preemption off", function).text());
}

}  // namespace context

#endif

}  // namespace helix::kernel

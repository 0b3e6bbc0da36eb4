// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The run-time check of the lock order, for debug builds.

#include "kernel/thread/spin_lock.hpp"

#if defined(HELIX_DEBUG_LOCKS)

#include "helix/format.hpp"
#include "kernel/panic.hpp"

namespace helix::kernel::lock_order {
namespace {

constexpr Text kRankNames[] = {"ModuleSystem", "Slot", "ThreadTable", "WaitQueue", "Semaphore", "Timer", "Cpu",
                               "CpuAreas",     "Heap", "Region",      "Mapping",   "Pages",     "Log",   "Console"};
static_assert(sizeof(kRankNames) / sizeof(kRankNames[0]) == static_cast<size_t>(LockRank::Console) + 1);

Text name_of(LockRank rank) {
    return kRankNames[static_cast<size_t>(rank)];
}

/// A hold of all Cpu locks, and one of every other rank.
constexpr size_t kDepth = arch::kMaximumCpus + sizeof(kRankNames) / sizeof(kRankNames[0]);

struct HeldLocks {
    const SpinLock* locks[kDepth];
    size_t count;
};
/// Each CPU uses its own entry, with preemption off.
constinit HeldLocks held_locks[arch::kMaximumCpus] = {};

bool may_follow(const SpinLock& lock, const SpinLock& held) {
    if (lock.rank() > held.rank()) return true;
    return lock.rank() == LockRank::Cpu && held.rank() == LockRank::Cpu && lock.cpu() > held.cpu();
}

/// A panic writes to console and log, which takes locks again: the records of this CPU end here.
[[noreturn]] void violation(Text sentence) {
    held_locks[current_cpu()].count = 0;
    panic(sentence);
}

}  // namespace

void acquire(const SpinLock& lock) {
    HeldLocks& held = held_locks[current_cpu()];
    for (size_t i = 0; i < held.count; ++i)
        if (!may_follow(lock, *held.locks[i]))
            violation(format("lock order: rank {} taken while rank {} is held", name_of(lock.rank()),
                             name_of(held.locks[i]->rank()))
                          .text());
    if (held.count == kDepth) violation("lock order: more locks held than there are ranks");
    held.locks[held.count++] = &lock;
}

void release(const SpinLock& lock) {
    HeldLocks& held = held_locks[current_cpu()];
    for (size_t i = held.count; i-- > 0;) {
        if (held.locks[i] != &lock) continue;
        held.locks[i] = held.locks[--held.count];
        return;
    }
    violation(format("lock order: rank {} released but not held by this CPU", name_of(lock.rank())).text());
}

void require_none(Text caller) {
    PreemptionGuard guard;
    HeldLocks& held = held_locks[current_cpu()];
    if (held.count != 0)
        violation(format("{} called while a lock of rank {} is held", caller, name_of(held.locks[0]->rank())).text());
}

}  // namespace helix::kernel::lock_order

#endif

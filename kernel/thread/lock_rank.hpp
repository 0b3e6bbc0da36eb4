// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The ranks of all locks: the order in which they are taken, once for the checks at run time and once for the compiler.
//
// For the compiler there are two marks for each rank, which nothing ever takes and which exist nowhere: a lock comes
// after the first and before the second, and the marks stand in the order of the ranks. So Clang knows the order of any
// two locks whose declarations name their ranks (HELIX_RANK), whatever classes they are in. What it checks, and what it
// cannot see, is in docs/decisions/0025-locks-name-their-rank-once.md.
#pragma once

#include "helix/types.hpp"
#include "kernel/thread/thread_annotations.hpp"

namespace helix::kernel {

/// Outermost first: whoever holds a lock takes only locks of a strictly later rank. Cpu locks alone are taken beside
/// each other, in ascending order of their CPU. Who waits for a lock of the first group sleeps; a lock of that group
/// that is waited for with a time-out may have any rank, since such a wait ends. The others spin.
enum class LockRank : uint8_t {
    ModuleChange,    ///< changes of the set of modules
    ModuleCall,      ///< calls into one module; calls from module to module wait with a time-out
    ModuleRegistry,  ///< the lists of modules and interfaces
    CpuChange,       ///< CPUs come and go, and all of them meet
    SleepingLeaf,    ///< nothing that sleeps is taken inside

    Slot,
    ThreadTable,
    WaitQueue,  ///< a waiter enters Timer, and a waker Cpu, with its queue locked
    Semaphore,
    Inheritance,  ///< who waits for which mutex; priorities change with it held, under Cpu
    Timer,
    Cpu,
    CpuAreas,
    Heap,
    Region,
    Mapping,  ///< around the port's page tables, which take frames from Pages
    Pages,
    Log,  ///< leaf; taken in any context, unseen by the checks at run time
};
inline constexpr size_t kLockRanks = static_cast<size_t>(LockRank::Log) + 1;
constexpr bool sleeps(LockRank rank) {
    return rank <= LockRank::SleepingLeaf;
}
Text describe(LockRank rank);

/// The marks. Declared, never defined.
namespace rank_order {
class HELIX_CAPABILITY("rank") Mark {};
extern Mark before_ModuleChange;
extern Mark after_ModuleChange HELIX_ACQUIRED_AFTER(before_ModuleChange);
#define HELIX_RANK_BEHIND(previous, rank)                                                        \
    static_assert(static_cast<int>(LockRank::rank) == static_cast<int>(LockRank::previous) + 1); \
    extern Mark before_##rank HELIX_ACQUIRED_AFTER(after_##previous);                            \
    extern Mark after_##rank HELIX_ACQUIRED_AFTER(before_##rank)
HELIX_RANK_BEHIND(ModuleChange, ModuleCall);
HELIX_RANK_BEHIND(ModuleCall, ModuleRegistry);
HELIX_RANK_BEHIND(ModuleRegistry, CpuChange);
HELIX_RANK_BEHIND(CpuChange, SleepingLeaf);
HELIX_RANK_BEHIND(SleepingLeaf, Slot);
HELIX_RANK_BEHIND(Slot, ThreadTable);
HELIX_RANK_BEHIND(ThreadTable, WaitQueue);
HELIX_RANK_BEHIND(WaitQueue, Semaphore);
HELIX_RANK_BEHIND(Semaphore, Inheritance);
HELIX_RANK_BEHIND(Inheritance, Timer);
HELIX_RANK_BEHIND(Timer, Cpu);
HELIX_RANK_BEHIND(Cpu, CpuAreas);
HELIX_RANK_BEHIND(CpuAreas, Heap);
HELIX_RANK_BEHIND(Heap, Region);
HELIX_RANK_BEHIND(Region, Mapping);
HELIX_RANK_BEHIND(Mapping, Pages);
HELIX_RANK_BEHIND(Pages, Log);
#undef HELIX_RANK_BEHIND
static_assert(static_cast<size_t>(LockRank::Log) + 1 == kLockRanks);
}  // namespace rank_order

/// On a lock's declaration: its place in the order. HELIX_RANK also makes it, with that rank; HELIX_RANKED is for locks
/// that know theirs, and HELIX_RANKED_BETWEEN for those whose users choose.
#define HELIX_RANKED_BETWEEN(first, last)                             \
    HELIX_ACQUIRED_AFTER(::helix::kernel::rank_order::before_##first) \
    HELIX_ACQUIRED_BEFORE(::helix::kernel::rank_order::after_##last)
#define HELIX_RANKED(rank) HELIX_RANKED_BETWEEN(rank, rank)
#define HELIX_RANK(rank)                \
    HELIX_RANKED(rank) {                \
        ::helix::kernel::LockRank::rank \
    }

}  // namespace helix::kernel

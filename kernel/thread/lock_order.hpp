// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The check of the order of locks at run time, and how often locks of each rank were waited for.
#pragma once

#include "helix/types.hpp"
#include "kernel/thread/context.hpp"
#include "kernel/thread/lock_rank.hpp"

namespace helix::kernel {

/// Counts of one rank, since the start; of all kernels of a process together.
struct LockCounts {
    uint64_t contended = 0;  ///< somebody had to wait
    uint64_t expired = 0;    ///< and gave up: time-out or cancellation
    uint64_t inherited = 0;  ///< a holder's priority was raised by who waits
};
/// Where locks count when they are not free at once. Any context.
enum class LockCount : uint8_t { Contended, Expired, Inherited };
void count_lock(LockRank rank, LockCount count);
LockCounts lock_counts(LockRank rank);

/// The records of spin locks hang on the CPU: a holder is not preempted, and a lock that is held across a switch is
/// released on the same CPU. Those of locks that sleep hang on the thread.
namespace lock_order {

enum class Wait : uint8_t { Forever, Bounded };

#if defined(HELIX_DEBUG_LOCKS)
/// Panics if this CPU holds a spin lock after which `lock` may not be taken; records it otherwise. Preemption off.
void acquire(LockRank rank, const void* lock);
void release(LockRank rank, const void* lock);
/// Panics if the thread may not wait for a lock of this rank now. Before anything is waited for.
void check_sleeping(LockRank rank, const void* lock, Wait wait);
/// The thread holds the lock from now on, until release_sleeping.
void acquire_sleeping(LockRank rank, const void* lock);
void release_sleeping(LockRank rank, const void* lock);
/// Panics unless the thread, or for locks that spin the CPU, holds `lock`.
void require_held(LockRank rank, const void* lock);
/// Panics if this CPU holds a spin lock. For functions that may call into a module.
void require_none(Text caller);
/// Panics if the thread holds a lock that sleeps. For threads that end.
void require_no_sleeping(Text caller);
#else
inline void acquire(LockRank, const void*) {}
inline void release(LockRank, const void*) {}
inline void check_sleeping(LockRank, const void*, Wait) {}
inline void acquire_sleeping(LockRank, const void*) {}
inline void release_sleeping(LockRank, const void*) {}
inline void require_held(LockRank, const void*) {}
inline void require_none(Text) {}
inline void require_no_sleeping(Text) {}
#endif

}  // namespace lock_order
}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// SemaphoreTable: the semaphores of all modules, and the timers that signal them, by number.
#pragma once

#include "kernel/memory/memory.hpp"
#include "kernel/thread/semaphore.hpp"

namespace helix::kernel {

struct Instance;

/// Entries stay where they are and their memory is never unmapped. Any thread context, unless a line says otherwise.
class SemaphoreTable {
public:
    static constexpr size_t kMaximum = 32'768;  ///< of both together

    Result<void> init(Memory& memory);
    Result<SemaphoreId> create(Instance& owner, uint32_t initial);
    /// Errors: NotFound (none of `owner`'s), Busy (threads wait on it, or a timer is to signal it).
    Result<void> destroy(Instance& owner, SemaphoreId id);
    Result<void> wait(Instance& owner, SemaphoreId id, uint64_t timeout_ns);
    Result<void> signal(Instance& owner, SemaphoreId id);
    /// The same, unless it has a unit. Nothing if it is none of `owner`'s.
    void signal_once(const Instance& owner, SemaphoreId id) HELIX_MAY_SPIN;
    /// Errors: NotFound (none of `owner`'s).
    Result<void> check(const Instance& owner, SemaphoreId id);

    /// A semaphore of `owner`'s gets a unit, unless it has one, `first_ns` from now and then every `period_ns`; 0: only
    /// once, and the timer is over. Errors: NotFound, OutOfRange (the period), OutOfMemory.
    Result<TimerId> start_timer(Instance& owner, SemaphoreId id, uint64_t first_ns, uint64_t period_ns);
    /// It signals no more. Errors: NotFound (none of `owner`'s, or it is over).
    Result<void> stop_timer(Instance& owner, TimerId id);
    /// The time of `id` has come; it is in no timer queue any more, and may have been stopped since.
    void expire(TimerId id, uint64_t now_ns) HELIX_MAY_SPIN;

    /// Gives back all of `owner`'s; none of its threads is left.
    void release_all(Instance& owner);
    /// How many there are, of both.
    size_t in_use();

private:
    /// A semaphore; or a timer, with a deadline.
    struct Entry : Deadline {
        uint32_t number = 0;
        uint32_t next_free = 0;     ///< position + 1
        Instance* owner = nullptr;  ///< null: it is free
        uint32_t users = 0;         ///< of a semaphore: threads between look-up and return, and timers
        Entry* signals = nullptr;   ///< of a timer: its semaphore
        uint64_t period_ns = 0;     ///< likewise
        Semaphore semaphore{0};
    };
    enum class Kind : uint8_t { Semaphore, Timer };

    Result<Entry*> add(Instance& owner) HELIX_REQUIRES(lock_);
    Entry* find(uint32_t number, Kind kind) HELIX_REQUIRES(lock_);
    Entry* find(const Instance& owner, uint32_t number, Kind kind) HELIX_REQUIRES(lock_);
    Entry* acquire(Instance& owner, SemaphoreId id);
    void drop(Entry& entry);
    void free_locked(Entry& entry) HELIX_REQUIRES(lock_);

    Memory* memory_ = nullptr;
    SpinLock lock_ HELIX_RANK(ThreadTable);                // a timer signals, and enters a timer queue, with it held
    Entry* entries_ HELIX_PT_GUARDED_BY(lock_) = nullptr;  // but for the semaphore of one that has users
    size_t used_ HELIX_GUARDED_BY(lock_) = 0;
    size_t mapped_pages_ HELIX_GUARDED_BY(lock_) = 0;
    uint32_t free_ HELIX_GUARDED_BY(lock_) = 0;
};

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// SemaphoreTable: the semaphores of all modules, by number.
#pragma once

#include "kernel/memory/memory.hpp"
#include "kernel/thread/semaphore.hpp"

namespace helix::kernel {

struct Instance;

/// Entries stay where they are and their memory is never unmapped. Any thread context.
class SemaphoreTable {
public:
    static constexpr size_t kMaximum = 32'768;

    Result<void> init(Memory& memory);
    Result<SemaphoreId> create(Instance& owner, uint32_t initial);
    /// Errors: NotFound (none of `owner`'s), Busy (threads wait on it).
    Result<void> destroy(Instance& owner, SemaphoreId id);
    Result<void> wait(Instance& owner, SemaphoreId id, uint64_t timeout_ns);
    Result<void> signal(Instance& owner, SemaphoreId id);
    /// Gives back all of `owner`'s; none of its threads is left.
    void release_all(Instance& owner);
    /// How many there are.
    size_t in_use();

private:
    struct Entry {
        SemaphoreId id = SemaphoreId::None;
        Instance* owner = nullptr;
        uint32_t users = 0;      ///< threads between look-up and return
        uint32_t next_free = 0;  ///< position + 1
        Semaphore semaphore{0};
    };
    Entry* acquire(Instance& owner, SemaphoreId id);
    void drop(Entry& entry);
    void free_locked(Entry& entry) HELIX_REQUIRES(lock_);

    Memory* memory_ = nullptr;
    SpinLock lock_ HELIX_RANK(ThreadTable);
    Entry* entries_ HELIX_PT_GUARDED_BY(lock_) = nullptr;  // but for the semaphore of one that has users
    size_t used_ HELIX_GUARDED_BY(lock_) = 0;
    size_t mapped_pages_ HELIX_GUARDED_BY(lock_) = 0;
    uint32_t free_ HELIX_GUARDED_BY(lock_) = 0;
};

}  // namespace helix::kernel

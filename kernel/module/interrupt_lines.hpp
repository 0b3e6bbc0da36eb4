// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// InterruptLines: which module has which line that devices interrupt by, and how an interrupt reaches its threads.
#pragma once

#include "arch/seam.hpp"
#include "helix/abi.hpp"
#include "kernel/thread/spin_lock.hpp"

namespace helix::kernel {

struct Instance;
class ModuleRecord;
class SemaphoreTable;

/// A line belongs to a module's place. Instances of it hold it, each with a semaphore of its own: the one that serves,
/// and one that is to take over, or has failed. An interrupt masks the line and gives the semaphore of the one that
/// serves a unit; until that one enables the line, the interrupt waits, and whoever takes over meanwhile gets a unit
/// too. Any thread context, unless a line says otherwise.
class InterruptLines {
public:
    explicit InterruptLines(SemaphoreTable& semaphores) : semaphores_(semaphores) {}

    /// `owner` holds `line` from now on; it is enabled, unless its place had it before. Errors: those of
    /// arch::line_check; Busy (it is another's, or `owner` holds it), NotFound (no such semaphore of `owner`'s).
    Result<void> claim(Instance& owner, uint32_t line, SemaphoreId id);
    /// The interrupt was looked after, and the next may come. Changes nothing if `owner` does not serve. Errors:
    /// NotFound (`owner` does not hold it).
    Result<void> enable(Instance& owner, uint32_t line);
    /// The other way. Without a holder the line is nobody's. Errors: NotFound.
    Result<void> release(Instance& owner, uint32_t line);
    /// `owner` goes, and holds nothing any more; what it held stays its place's.
    void release_all(Instance& owner);
    /// The place goes: its lines are nobody's.
    void release_all(const ModuleRecord& record);
    /// Another instance serves in `record`.
    void hand_over(const ModuleRecord& record);
    /// Interrupts came on these lines, a bit each, which are masked since.
    void signal(uint32_t lines) HELIX_MAY_SPIN;

private:
    struct Holder {
        Instance* instance = nullptr;
        SemaphoreId semaphore = SemaphoreId::None;
    };
    static constexpr size_t kHolders = 2;
    struct Line {
        const ModuleRecord* record = nullptr;  ///< null: it is nobody's
        bool waits = false;                    ///< an interrupt came, and the line was not enabled since
        Holder holders[kHolders];
    };

    Holder* find(const Instance* owner, uint32_t line) HELIX_REQUIRES(lock_);
    void tell(Line& line) HELIX_REQUIRES(lock_);
    void drop(Holder& holder) HELIX_REQUIRES(lock_);
    void give_up(uint32_t line) HELIX_REQUIRES(lock_);
    /// Whether nobody has a line: mostly so, and asked in holds.
    bool is_idle() const HELIX_READS_UNLOCKED { return __atomic_load_n(&claimed_, __ATOMIC_ACQUIRE) == 0; }

    SemaphoreTable& semaphores_;
    SpinLock lock_ HELIX_RANK(Slot);  // outside those of the semaphores
    Line lines_[arch::kMaximumLines] HELIX_GUARDED_BY(lock_);
    uint32_t claimed_ HELIX_GUARDED_BY(lock_) = 0;  // how many of them
};

}  // namespace helix::kernel

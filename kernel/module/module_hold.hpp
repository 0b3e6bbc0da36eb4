// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ModuleHold: while it lasts, nobody is inside a module and nobody gets in.
#pragma once

#include "kernel/module/record.hpp"

namespace helix::kernel {

/// How long a transaction waits for calls that are inside, of all its modules.
inline constexpr uint64_t kHoldDeadlineNs = 2'000'000'000;

/// Nobody else calls the module of `record` by its name until its call lock is given up. Thread context, preemption on.
/// Errors: TimedOut; then the lock is not held.
Result<void> lock_calls(ModuleRecord& record);

/// Requests, events and health checks wait at the module's call lock, callers of blocking methods at its slots; bounded
/// callers are not held. Thread context, preemption on, change lock held.
class ModuleHold {
public:
    /// `record` has an instance.
    explicit ModuleHold(ModuleRecord& record) : record_(record) {}
    ~ModuleHold() { release(); }
    ModuleHold(const ModuleHold&) = delete;
    ModuleHold& operator=(const ModuleHold&) = delete;

    /// Closes the ways in and waits for those who are inside to leave; waits in their calls end, so that these return
    /// Restart. Not while it is held. Errors: TimedOut, which names who did not leave; everything is open again then.
    Result<void> acquire(uint64_t timeout_ns) { return acquire_until(deadline_after(timeout_ns)); }
    Result<void> acquire_until(uint64_t deadline_ns);
    /// Once all that it has to do with are held: the module's own threads stay where they wait, in the code of the
    /// module. They go on when the hold ends, or, if another instance serves then, when the stop of this one waits or
    /// is over; and before, if a call that the kernel makes into it waits. Errors: TimedOut, which names one that came
    /// to no wait.
    Result<void> park_threads(uint64_t deadline_ns);
    /// The same of one slot that the module fills, and of those alone who come through it.
    Result<void> acquire(Slot& slot, uint64_t timeout_ns);
    /// Lets everybody in again, to whoever serves now. The slots still exist. Again does nothing.
    void release();

    /// "thread 7 (waiter) in NAME": the first thread found that has called into `instance` and does not run just now.
    static FixedText<150> describe_caller(Instance& instance);

private:
    Result<void> wait_until_empty(uint64_t deadline_ns);
    Result<void> give_up();
    Result<void> empty(Slot& slot, uint64_t deadline_ns);

    ModuleRecord& record_;
    Instance* held_ = nullptr;  // who served when the hold began
    bool locked_ = false;
    Slot* closed_[2 * ModuleRecord::kMaximumSlots] = {};  // its own and those that it fills as the primary one
    size_t closed_count_ = 0;
};

}  // namespace helix::kernel

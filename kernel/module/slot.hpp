// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Slot: where an implementation of an interface is plugged in. Handles lead here; what fills it may change.
#pragma once

#include "helix/abi.hpp"
#include "kernel/thread/wait_queue.hpp"

#include <boost/intrusive/list.hpp>

namespace helix::kernel {

class ModuleRecord;
struct Kernel;
struct InterfaceRecord;

struct Slot : SlotHead, boost::intrusive::list_base_hook<> {
    /// A slot that nobody sees: a module's own is published by entering it in its interface's list. Errors:
    /// OutOfMemory. `record` is null for the primary slot of an interface. Registry lock held, here and below.
    static Result<Slot*> create(Kernel& kernel, InterfaceRecord& interface, ModuleRecord* record);
    static void destroy(Kernel& kernel, Slot* slot);

    /// Fills the slot with `filling` (null: empties it). Handles see it at once; afterwards no bounded call is left in
    /// what filled it before. Preemption on, blocking callers are outside (closed) or do not matter.
    void fill(const SlotTarget* filling);
    /// The same, but the caller waits for the grace period after which no bounded call is left there.
    void put(const SlotTarget* filling);
    /// The same implementation as before is reached on another way: nothing else changes.
    void divert(const SlotTarget* way);
    /// From now on blocking callers wait outside, for the sake of a transaction. Preemption on.
    void close();
    /// Waits until those inside have left, and lets them run before others meanwhile (lending.hpp). Errors: TimedOut.
    Result<void> wait_empty(uint64_t timeout_ns) HELIX_MAY_SLEEP;
    /// Ends what close began.
    void open();
    /// What fills the slot failed: blocking callers wait outside until the supervisor has decided who serves. Any
    /// context.
    void close_for_failed() { __atomic_fetch_or(&closed, kForFailed, __ATOMIC_SEQ_CST); }
    void open_after_failed();
    /// Whether callers wait for the supervisor alone.
    bool is_closed_for_failed() const { return __atomic_load_n(&closed, __ATOMIC_ACQUIRE) == kForFailed; }
    /// For callers: waits until the slot is open. Errors: TimedOut, Cancelled.
    Result<void> wait_open(uint64_t timeout_ns);
    /// For callers who left a closed slot: they have the priority back that they had before.
    void left();

    /// Whether a blocking call is under way. Exact once the slot is closed.
    bool has_callers() const;

    // Bits of `closed`.
    static constexpr uint32_t kForTransaction = 1;
    static constexpr uint32_t kForFailed = 2;

    Kernel& kernel;
    InterfaceRecord& interface;
    ModuleRecord* const record;
    uint32_t bindings = 0;  ///< handles that lead here; atomic
    WaitQueue queue{LockRank::Slot};

    Slot(Kernel& of_kernel, InterfaceRecord& of, ModuleRecord* by)
        : SlotHead{}, kernel(of_kernel), interface(of), record(by) {}
};

}  // namespace helix::kernel

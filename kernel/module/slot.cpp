// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Slot: filling, closing, opening.

#include "kernel/module/slot.hpp"

#include "kernel/kernel.hpp"
#include "kernel/memory/make.hpp"
#include "kernel/panic.hpp"

namespace helix::kernel {

Result<Slot*> Slot::create(Kernel& kernel, InterfaceRecord& interface, ModuleRecord* record) {
    Slot* const slot = make<Slot>(kernel.heap, kernel, interface, record);
    if (slot == nullptr) return ErrorCode::OutOfMemory;
    auto counters = kernel.threads.cpus().areas().allocate_counters();
    if (!counters.ok()) {
        unmake(kernel.heap, slot);
        return counters.error();
    }
    slot->counters = counters.value();
    if (record != nullptr) ++interface.module_slots;
    return slot;
}

void Slot::destroy(Kernel& kernel, Slot* slot) {
    if (slot->record != nullptr) --slot->interface.module_slots;
    kernel.threads.cpus().areas().free_counters(slot->counters);
    unmake(kernel.heap, slot);
}

void Slot::put(const SlotTarget* filling) {
    __atomic_store_n(&target, filling, __ATOMIC_RELEASE);
    if (filling != nullptr) __atomic_fetch_add(&generation, 1, __ATOMIC_ACQ_REL);
}

void Slot::fill(const SlotTarget* filling) {
    put(filling);
    kernel.threads.cpus().wait_grace_period();
}

void Slot::divert(const SlotTarget* way) {
    __atomic_store_n(&target, way, __ATOMIC_RELEASE);
    kernel.threads.cpus().wait_grace_period();
}

void Slot::close() {
    __atomic_fetch_or(&closed, kForTransaction, __ATOMIC_RELEASE);
    // Whoever entered without seeing that has counted itself before this returns; nobody else needs to be waited for.
    kernel.threads.cpus().wait_grace_period();
}

void Slot::open() {
    queue.wake_all([&] { __atomic_fetch_and(&closed, ~kForTransaction, __ATOMIC_RELEASE); });
}

void Slot::open_after_failed() {
    queue.wake_all([&] { __atomic_fetch_and(&closed, ~kForFailed, __ATOMIC_RELEASE); });
}

Result<void> Slot::wait_open(uint64_t timeout_ns) {
    const WakeReason reason =
        queue.wait_until([&] { return __atomic_load_n(&closed, __ATOMIC_ACQUIRE) == 0; }, deadline_after(timeout_ns));
    if (reason == WakeReason::TimedOut) return ErrorCode::TimedOut;
    if (reason == WakeReason::Cancelled) return ErrorCode::Cancelled;
    return {};
}

bool Slot::has_callers() const {
    // A call may enter on one CPU and leave on another. Whoever is counted as having left is counted as having entered,
    // since that is looked at later: the sums are equal only if nobody was inside in between.
    uint64_t entered = 0;
    uint64_t left = 0;
    CpuAreas& areas = kernel.threads.cpus().areas();
    for (CpuId id = 0; id < areas.count(); ++id)
        left += __atomic_load_n(&areas.counters(id, counters).left, __ATOMIC_ACQUIRE);
    for (CpuId id = 0; id < areas.count(); ++id)
        entered += __atomic_load_n(&areas.counters(id, counters).entered, __ATOMIC_ACQUIRE);
    return entered != left;
}

}  // namespace helix::kernel

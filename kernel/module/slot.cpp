// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Slot: filling, closing, opening.

#include "kernel/module/slot.hpp"

#include "kernel/kernel.hpp"
#include "kernel/memory/make.hpp"
#include "kernel/panic.hpp"
#include "kernel/thread/lending.hpp"

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

Result<void> Slot::wait_empty(uint64_t timeout_ns) {
    if (!has_callers()) return {};
    // Whoever is in what fills the slot now is inside by this slot or another.
    const SlotTarget* const inside = __atomic_load_n(&target, __ATOMIC_ACQUIRE);
    Lending lending(kernel.threads, inside == nullptr ? nullptr : owner_of(inside->instance));
    const uint64_t deadline_ns = deadline_after(timeout_ns);
    constexpr uint64_t kLongestNs = 16 * Threads::kTickNs;
    for (uint64_t wait_ns = Threads::kTickNs;; wait_ns = wait_ns < kLongestNs ? 2 * wait_ns : kLongestNs) {
        lending.look();  // again and again: whoever runs now may wait for its turn then
        const uint64_t next_ns = deadline_after(wait_ns);
        const uint64_t until_ns = next_ns < deadline_ns ? next_ns : deadline_ns;
        if (queue.wait_until([&] { return !has_callers(); }, until_ns, Cancellable::No) != WakeReason::TimedOut)
            return {};
        if (until_ns == deadline_ns) return ErrorCode::TimedOut;
    }
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

void Slot::left() {
    queue.wake_all([] {});
    Thread& self = current_thread();
    if (self.lent) kernel.threads.inheritance().take_back(self);
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

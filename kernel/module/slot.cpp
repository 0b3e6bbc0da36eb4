// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Slot: filling, closing, opening.

#include "kernel/module/slot.hpp"

#include "kernel/kernel.hpp"
#include "kernel/memory/make.hpp"
#include "kernel/panic.hpp"

namespace helix::kernel {

Result<Slot*> Slot::create(Heap& heap, InterfaceRecord& interface, ModuleRecord* record, size_t cpus) {
    Slot* const slot = make<Slot>(heap, interface, record, cpus);
    if (slot == nullptr) return ErrorCode::OutOfMemory;
    slot->inside = static_cast<InsideCounter*>(heap.allocate(cpus * sizeof(InsideCounter), alignof(InsideCounter)));
    if (slot->inside == nullptr) {
        unmake(heap, slot);
        return ErrorCode::OutOfMemory;
    }
    for (size_t i = 0; i < cpus; ++i) slot->inside[i].count = 0;
    return slot;
}

void Slot::destroy(Heap& heap, Slot* slot) {
    heap.free(slot->inside);
    unmake(heap, slot);
}

void Slot::fill(const SlotTarget* filling) {
    __atomic_store_n(&target, filling, __ATOMIC_RELEASE);
    if (filling != nullptr) __atomic_fetch_add(&generation, 1, __ATOMIC_ACQ_REL);
    this_kernel().threads.wait_grace_period();
}

void Slot::close() {
    __atomic_store_n(&closed, 1, __ATOMIC_SEQ_CST);
}

Result<void> Slot::wait_empty(uint64_t timeout_ns) {
    const WakeReason reason =
        queue.wait_until([&] { return callers_inside() == 0; }, deadline_after(timeout_ns), Cancellable::No);
    if (reason == WakeReason::TimedOut) return ErrorCode::TimedOut;
    return {};
}

void Slot::open() {
    queue.wake_all([&] { __atomic_store_n(&closed, 0, __ATOMIC_SEQ_CST); });
}

Result<void> Slot::wait_open() {
    const WakeReason reason = queue.wait_until([&] { return __atomic_load_n(&closed, __ATOMIC_SEQ_CST) == 0; });
    if (reason == WakeReason::Cancelled) return ErrorCode::Cancelled;
    return {};
}

void Slot::left() {
    queue.wake_all([] {});
}

uint64_t Slot::callers_inside() const {
    uint64_t sum = 0;
    for (size_t i = 0; i < cpus; ++i) sum += __atomic_load_n(&inside[i].count, __ATOMIC_SEQ_CST);
    return sum;
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ModuleRecord: its slots while an instance has failed and nobody has decided yet who serves.

#include "kernel/module/record.hpp"

#include "kernel/module/interface_registry.hpp"

namespace helix::kernel {

// In any context, so without the registry's lock: slots and interfaces outlive whatever runs in the instance, and a
// slot that a transaction fills anew meanwhile is opened again by the supervisor, which looks at every failure.
void ModuleRecord::close_for_failed(const Instance& failed) {
    if (__atomic_load_n(&current, __ATOMIC_ACQUIRE) != &failed) return;
    for (uint32_t i = 0; i < slot_count; ++i) {
        slots[i]->close_for_failed();
        InterfaceRecord& interface = slots[i]->interface;
        if (__atomic_load_n(&interface.primary_record, __ATOMIC_ACQUIRE) == this) interface.primary->close_for_failed();
    }
}

void ModuleRecord::open_after_failed() {
    // A failed instance of an interface that the kernel plugs in itself leaves its slot empty, and that is decided too.
    // Who is to come back is waited for.
    const auto decided = [](const ModuleRecord* record) {
        if (record == nullptr || record->current == nullptr) return true;
        if (record->restarts.is_pending()) return false;
        return record->state() == ModuleState::Failed || !record->current->is_ended();
    };
    for (uint32_t i = 0; i < slot_count; ++i) {
        if (decided(this)) slots[i]->open_after_failed();
        InterfaceRecord& interface = slots[i]->interface;
        if (decided(interface.primary_record)) interface.primary->open_after_failed();
    }
}

}  // namespace helix::kernel

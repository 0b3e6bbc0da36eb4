// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ModuleRecord: its slots while an instance has failed and nobody has decided yet who serves.

#include "kernel/module/record.hpp"

#include "kernel/module/interface_registry.hpp"

namespace helix::kernel {

// In any context, so without the registry's lock: slots and interfaces are freed after a grace period, and a slot that
// a transaction fills anew meanwhile is opened again by the supervisor, which looks at every failure.
void ModuleRecord::close_for_failed(const Instance& failed) {
    if (__atomic_load_n(&current, __ATOMIC_ACQUIRE) != &failed) return;
    const uint32_t count = __atomic_load_n(&slot_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < count; ++i) {
        slots[i]->close_for_failed();
        InterfaceRecord& interface = slots[i]->interface;
        if (interface.primary_record == this) interface.primary->close_for_failed();
    }
}

void ModuleRecord::open_after_failed() {
    for (uint32_t i = 0; i < slot_count; ++i) {
        if (is_decided(this)) slots[i]->open_after_failed();
        InterfaceRecord& interface = slots[i]->interface;
        if (is_decided(interface.primary_record)) interface.primary->open_after_failed();
    }
}

}  // namespace helix::kernel

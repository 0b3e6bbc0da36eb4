// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// InterfaceRegistry: records come with their first implementor and go with their last user.

#include "kernel/module/interface_registry.hpp"

#include "kernel/kernel.hpp"
#include "kernel/memory/make.hpp"

namespace helix::kernel {

InterfaceRecord* InterfaceRegistry::find(Text name) {
    for (InterfaceRecord& interface : records_)
        if (interface.name == name) return &interface;
    return nullptr;
}

Result<InterfaceRecord*> InterfaceRegistry::obtain(Kernel& kernel, Text name, uint16_t major, uint16_t minor) {
    if (InterfaceRecord* const found = find(name)) return found;
    auto* const interface = make<InterfaceRecord>(kernel.heap);
    if (interface == nullptr) return ErrorCode::OutOfMemory;
    interface->name.assign(name);
    interface->major = major;
    interface->minor = minor;
    auto slot = Slot::create(kernel, *interface, nullptr);
    if (!slot.ok()) {
        unmake(kernel.heap, interface);
        return slot.error();
    }
    interface->primary = slot.value();
    records_.push_back(*interface);
    return interface;
}

void InterfaceRegistry::prune(Kernel& kernel) {
    for (auto it = records_.begin(); it != records_.end();) {
        InterfaceRecord& interface = *it++;
        if (!interface.implementors.empty() || __atomic_load_n(&interface.primary->bindings, __ATOMIC_ACQUIRE) != 0)
            continue;
        records_.erase(records_.iterator_to(interface));
        Slot::destroy(kernel, interface.primary);
        unmake(kernel.heap, &interface);
    }
}

}  // namespace helix::kernel

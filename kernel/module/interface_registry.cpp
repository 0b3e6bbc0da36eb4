// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// InterfaceRegistry: records come with their first implementor and go with their last user; who holds which handles.

#include "kernel/module/interface_registry.hpp"

#include "kernel/kernel.hpp"
#include "kernel/memory/make.hpp"

namespace helix::kernel {

const InterfaceEntry* find_interface(const ModuleDescriptor& descriptor, Text name) {
    for (const InterfaceEntry& entry : descriptor.interfaces())
        if (is_same_name(entry.name.text(), name)) return &entry;
    return nullptr;
}

Error versions_differ(const ModuleDescriptor& module, const InterfaceEntry& offered, Text other, Relation relation,
                      const InterfaceEntry& its) {
    return Error(ErrorCode::Incompatible,
                 format("{} implements {} {}.{}, but {} {} {}.{}", module.info.name(), offered.name.text(),
                        offered.major, offered.minor, other,
                        relation == Relation::Needs ? Text("needs") : Text("implements"), its.major, its.minor)
                     .text());
}

InterfaceRecord* InterfaceRegistry::find(Text name) {
    InterfaceRecord* found = nullptr;
    index_.look(name, [&](InterfaceRecord& interface) {
        const bool serves = !interface.implementors.empty();
        if (serves || found == nullptr || !found->is_known()) found = &interface;
        return serves;
    });
    return found;
}

InterfaceRecord* InterfaceRegistry::find(Text name, uint16_t major) {
    InterfaceRecord* found = nullptr;
    index_.look(name, [&](InterfaceRecord& interface) {
        if (interface.major == major) found = &interface;
        return found != nullptr;
    });
    return found;
}

Result<InterfaceRecord*> InterfaceRegistry::obtain(Kernel& kernel, const InterfaceEntry& entry) {
    if (InterfaceRecord* const found = find(entry.name.text(), entry.major)) {
        if (found->implementors.empty()) found->minor = entry.minor;
        return found;
    }
    TRY(index_.reserve(kernel));
    auto* const interface = make<InterfaceRecord>(kernel.heap);
    if (interface == nullptr) return ErrorCode::OutOfMemory;
    interface->name = entry.name;
    interface->major = entry.major;
    interface->minor = entry.minor;
    auto slot = Slot::create(kernel, *interface, nullptr);
    if (!slot.ok()) {
        unmake(kernel.heap, interface);
        return slot.error();
    }
    interface->primary = slot.value();
    records_.push_back(*interface);
    index_.insert(*interface);
    return interface;
}

Result<void> InterfaceRegistry::check_majors(const ModuleDescriptor& module, const Replacements* changing) const {
    for (const InterfaceRecord& interface : records_) {
        const InterfaceEntry* const entry = find_interface(module, interface.name.text());
        if (entry == nullptr || interface.major == entry->major) continue;
        for (const Slot& slot : interface.implementors)
            if (changing == nullptr || changing->find(*slot.record) == nullptr)
                return versions_differ(module, *entry, slot.record->name(), Relation::Implements,
                                       *find_interface(*slot.record->current->descriptor, interface.name.text()));
        for (const Holding& holding : holdings_) {
            const Instance& by = holding.by;
            // One that stands by for another finds the interface absent, unless what serves there comes back with it.
            const bool stands_by = !by.replaces && by.record.current != nullptr && by.record.current != &by;
            const bool counts = !by.leaves && !stands_by && !(by.replaces && changing == nullptr);
            if (&holding.slot.interface != &interface || !counts) continue;
            const Error error = versions_differ(module, *entry, by.name(), Relation::Needs,
                                                {{}, interface.major, holding.minor, 0, nullptr, nullptr});
            if (changing == nullptr) return error;
            return Error(error.code(), format("{}: reload them together", error.sentence()).text());
        }
    }
    for (size_t i = 0; changing != nullptr && i < changing->size(); ++i) {
        const ModuleDescriptor& other = (*changing)[i].image->descriptor();
        for (const InterfaceEntry& its : other.interfaces()) {
            const InterfaceEntry* const entry = find_interface(module, its.name.text());
            if (entry != nullptr && entry->major != its.major)
                return versions_differ(module, *entry, other.info.name(), Relation::Implements, its);
        }
    }
    return {};
}

Result<void> InterfaceRegistry::check_holders(const Slot& slot, const ModuleDescriptor& module) const {
    const InterfaceEntry* const entry = find_interface(module, slot.interface.name.text());
    for (const Holding& holding : holdings_) {
        if (&holding.slot != &slot || holding.by.leaves) continue;
        if (entry == nullptr)
            return Error(ErrorCode::Incompatible, format("{} does not implement {}, which {} needs", module.info.name(),
                                                         slot.interface.name, holding.by.name())
                                                      .text());
        if (slot.interface.major != entry->major || holding.minor > entry->minor)
            return versions_differ(module, *entry, holding.by.name(), Relation::Needs,
                                   {{}, slot.interface.major, holding.minor, 0, nullptr, nullptr});
    }
    return {};
}

Holding* InterfaceRegistry::find_holding(const Instance& by, const SlotHead* slot) {
    for (Holding& holding : holdings_)
        if (&holding.by == &by && &holding.slot == slot) return &holding;
    return nullptr;
}

Result<void> InterfaceRegistry::hold(Kernel& kernel, Instance& by, Slot& slot, uint16_t minor) {
    Holding* holding = find_holding(by, &slot);
    if (holding == nullptr) {
        holding = make<Holding>(kernel.heap, by, slot);
        if (holding == nullptr) return ErrorCode::OutOfMemory;
        holdings_.push_back(*holding);
    }
    if (minor > holding->minor) holding->minor = minor;
    ++holding->handles;
    __atomic_fetch_add(&slot.bindings, 1, __ATOMIC_ACQ_REL);
    __atomic_fetch_add(&by.handles, 1, __ATOMIC_ACQ_REL);
    return {};
}

void InterfaceRegistry::let_go(Kernel& kernel, Holding& holding, uint32_t handles) {
    __atomic_fetch_sub(&holding.slot.bindings, handles, __ATOMIC_ACQ_REL);
    __atomic_fetch_sub(&holding.by.handles, handles, __ATOMIC_ACQ_REL);
    holding.handles -= handles;
    if (holding.handles != 0) return;
    holdings_.erase(holdings_.iterator_to(holding));
    unmake(kernel.heap, &holding);
}

bool InterfaceRegistry::let_go(Kernel& kernel, const Instance& by, const SlotHead* slot) {
    Holding* const holding = find_holding(by, slot);
    if (holding != nullptr) let_go(kernel, *holding, 1);
    return holding != nullptr;
}

void InterfaceRegistry::let_go_all(Kernel& kernel, Instance& by) {
    for (auto it = holdings_.begin(); it != holdings_.end();) {
        Holding& holding = *it++;
        if (&holding.by == &by) let_go(kernel, holding, holding.handles);
    }
}

void InterfaceRegistry::prune(Kernel& kernel) {
    boost::intrusive::list<InterfaceRecord> unwanted;
    for (auto it = records_.begin(); it != records_.end();) {
        InterfaceRecord& interface = *it++;
        if (interface.is_known() || interface.module_slots != 0) continue;
        records_.erase(records_.iterator_to(interface));
        index_.remove(interface);
        unwanted.push_back(interface);
    }
    if (unwanted.empty()) return;
    kernel.threads.cpus().wait_grace_period();  // for who looks without the lock
    unwanted.clear_and_dispose([&](InterfaceRecord* interface) {
        Slot::destroy(kernel, interface->primary);
        unmake(kernel.heap, interface);
    });
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ModuleSystem: what others see of a module: its slots, the lists of implementors, who is primary.

#include "kernel/kernel.hpp"
#include "kernel/memory/make.hpp"
#include "kernel/module/module_system.hpp"
#include "kernel/panic.hpp"

namespace helix::kernel {

namespace {
/// Of two implementors that one which the profile names first goes before the other, else the one of the higher
/// version.
bool goes_before(const Profile& profile, const ModuleRecord& one, const ModuleRecord& other) {
    for (const Text list : {Text("modules.static"), Text("modules.dynamic")}) {
        for (const Text name : profile.words(list)) {
            if (name == one.name()) return true;
            if (name == other.name()) return false;
        }
    }
    return one.current->info().version() > other.current->info().version();
}
}  // namespace

Result<void> ModuleSystem::add_slots(ModuleRecord& record, const ModuleDescriptor& module) {
    MutexGuard guard(registry_);
    const Span<const InterfaceEntry> interfaces = module.interfaces();
    for (size_t i = 0; i < interfaces.size() && i < ModuleRecord::kMaximumInterfaces; ++i) {
        InterfaceRecord& interface = *TRY(interfaces_.obtain(kernel_, interfaces[i]));
        bool known = false;
        for (uint32_t k = 0; k < record.slot_count; ++k) known |= &record.slots[k]->interface == &interface;
        if (known) continue;
        HELIX_ASSERT(record.slot_count < ModuleRecord::kMaximumSlots);
        record.slots[record.slot_count] = TRY(Slot::create(kernel_, interface, &record));
        __atomic_store_n(&record.slot_count, record.slot_count + 1, __ATOMIC_RELEASE);
    }
    return {};
}

void ModuleSystem::give_back_mappings(ModuleRecord& record) {
    if (record.changes || record.current == nullptr) return;
    for (const Probation& probation : probations_)
        if (probation.active && probation.is_of(record)) return;
    record.current->image->keep_mappings(Image::KeepsMappings::No);
}

void ModuleSystem::trim_slots(ModuleRecord& record) {
    if (record.changes) return;
    MutexGuard guard(registry_);
    const auto is_wanted = [&](const Slot& slot) {
        change_.assert_held();
        if (slot.is_linked() || __atomic_load_n(&slot.bindings, __ATOMIC_ACQUIRE) != 0) return true;
        for (const Probation& probation : probations_) {
            if (!probation.active || !probation.is_of(record)) continue;
            const Replacement* const member = probation.group.find(record);
            Instance* const back = member != nullptr ? member->spare : probation.previous_policy;
            if (back != nullptr && &back->record == &record && target_of(*back, slot.interface) != nullptr) return true;
        }
        return false;
    };
    Slot* unwanted[ModuleRecord::kMaximumSlots];
    size_t count = 0;
    for (uint32_t i = 0; i < record.slot_count;) {
        if (is_wanted(*record.slots[i])) {
            ++i;
            continue;
        }
        unwanted[count++] = record.slots[i];
        record.slots[i] = record.slots[record.slot_count - 1];
        __atomic_store_n(&record.slot_count, record.slot_count - 1, __ATOMIC_RELEASE);
    }
    if (count != 0) kernel_.threads.cpus().wait_grace_period();  // for close_for_failed
    while (count != 0) Slot::destroy(kernel_, unwanted[--count]);
    interfaces_.prune(kernel_);
}

Result<void> ModuleSystem::publish(ModuleRecord& record) {
    auto made = add_slots(record, *record.current->descriptor);
    if (made.ok()) {
        MutexGuard guard(registry_);
        made = names_.reserve(kernel_);
    }
    if (!made.ok()) {
        trim_slots(record);
        return made;
    }
    MutexGuard guard(registry_);
    refill_slots(record, *record.current);
    not_started_.remove_and_dispose_if([&](const NotStarted& left_out) { return left_out.name == record.name(); },
                                       [&](NotStarted* left_out) { unmake(kernel_.heap, left_out); });
    records_.push_back(record);
    names_.insert(record);
    return {};
}

/// Whether `record` becomes primary by itself where nobody is. What the kernel plugs in stays empty until somebody is
/// plugged in, and who cannot serve all handles is passed over, with a word in the log. Registry lock held.
bool ModuleSystem::may_inherit(const InterfaceRecord& interface, ModuleRecord& record) {
    if (is_plugged_by_kernel(interface.name.text())) return false;
    const auto able = interfaces_.check_holders(*interface.primary, *record.current->descriptor);
    if (!able.ok()) kernel_.log.warning("kernel", "not the primary implementor: {}", able.error().sentence());
    return able.ok();
}

/// Where `record` is the primary implementor of an interface, it will be so of the major version that `with` has.
void ModuleSystem::follow_to_other_majors(ModuleRecord& record, Instance& with) {
    for (uint32_t i = 0; i < record.slot_count; ++i) {
        InterfaceRecord& next = record.slots[i]->interface;
        if (next.primary_record != nullptr || target_of(with, next) == nullptr) continue;
        for (const InterfaceRecord& before : interfaces_) {
            if (before.name != next.name.text() || before.primary_record != &record) continue;
            next.primary_record = &record;
            next.choice = before.choice;
        }
    }
}

void ModuleSystem::refill_slots(ModuleRecord& record, Instance& with, Grace grace) {
    const auto fill = [&](Slot& slot, const SlotTarget* target) {
        registry_.assert_held();
        slot.put(interfaces_.check_holders(slot, *with.descriptor).ok() ? target : nullptr);
        if (grace == Grace::Now) kernel_.threads.cpus().wait_grace_period();
    };
    follow_to_other_majors(record, with);
    for (uint32_t i = 0; i < record.slot_count; ++i) {
        Slot& slot = *record.slots[i];
        InterfaceRecord& interface = slot.interface;
        const SlotTarget* const target = target_of(with, interface);
        fill(slot, target);
        if (target == nullptr) {
            if (slot.is_linked()) interface.implementors.erase(interface.implementors.iterator_to(slot));
            if (interface.primary_record == &record) pass_on(interface, record);
            continue;
        }
        if (!slot.is_linked()) interface.implementors.push_back(slot);
        if (interface.primary_record == nullptr && may_inherit(interface, record)) interface.primary_record = &record;
        if (interface.primary_record != &record) continue;
        fill(*interface.primary, target);
    }
    lines_.hand_over(record);
}

void ModuleSystem::pass_on(InterfaceRecord& interface, const ModuleRecord& record) {
    ModuleRecord* next = nullptr;
    for (Slot& other : interface.implementors)
        if (other.record != &record && other.record->state() == ModuleState::Running &&
            (next == nullptr || goes_before(kernel_.profile, *other.record, *next)) &&
            may_inherit(interface, *other.record))
            next = other.record;
    interface.primary_record = next;
    interface.primary->fill(next == nullptr ? nullptr : target_of(*next->current, interface.name.text()));
    // A failure of `record` that came first has closed it, and the supervisor may never look at that one.
    if (is_decided(next)) interface.primary->open_after_failed();
}

void ModuleSystem::withdraw_interfaces(ModuleRecord& record) {
    for (uint32_t i = 0; i < record.slot_count; ++i) {
        Slot& slot = *record.slots[i];
        InterfaceRecord& interface = slot.interface;
        slot.close();
        slot.fill(nullptr);
        if (interface.primary_record == &record) {
            MutexGuard guard(registry_);
            pass_on(interface, record);
        }
        if (!slot.wait_empty(kLeaveWaitNs).ok())
            kernel_.log.warning("kernel", "{}: callers are still inside {}", record.name(), interface.name.text());
        slot.open();
    }
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ModuleSystem: unloading, of one module or of all that depend on it as well: whether each may go, and how they go.
//
// Up to unpublish nothing has changed, and everything can be refused; from there on all of them go.

#include "kernel/kernel.hpp"
#include "kernel/memory/make.hpp"
#include "kernel/module/departure.hpp"
#include "kernel/module/module_hold.hpp"
#include "kernel/module/module_system.hpp"

namespace helix::kernel {

namespace {

bool contains(Span<ModuleRecord* const> records, const ModuleRecord* wanted) {
    for (const ModuleRecord* record : records)
        if (record == wanted) return true;
    return false;
}

}  // namespace

Result<void> ModuleSystem::check_removable(const ModuleRecord& record) const {
    if (has(record.current->info().flags(), ModuleFlags::Essential))
        return Error(ErrorCode::PermissionDenied,
                     format("{} is essential and cannot be unloaded", record.name()).text());
    TRY(check_not_standing_by(record));
    for (uint32_t i = 0; i < record.slot_count; ++i) {
        const InterfaceRecord& interface = record.slots[i]->interface;
        if (interface.primary_record == &record && is_plugged_by_kernel(interface.name.text()))
            return Error(
                ErrorCode::Busy,
                format("{} rules {}; swap another module in first", record.name(), interface.name.text()).text());
    }
    return {};
}

Result<void> ModuleSystem::check_not_standing_by(const ModuleRecord& record) const {
    for (const Probation& probation : probations_) {
        if (!probation.active || probation.interface != nullptr) continue;  // without it a swap is not undone
        if (probation.previous_record != &record || probation.record == &record) continue;
        return Error(
            ErrorCode::Busy,
            format("{} stands by for {}, which is on probation", record.name(), probation.record->name()).text());
    }
    if (is_on_scheduler_trial(record)) return Error(ErrorCode::Busy, format("{} is on trial", record.name()).text());
    if (canary_ == nullptr || (&canary_->instance->record != &record && &canary_->ruling->record != &record)) return {};
    return check_no_canary();
}

Result<void> ModuleSystem::unload(Text name, Dependents dependents, GoneFunction gone, void* context) {
    MutexGuard guard(change_);
    look_after_failed();
    ModuleRecord* const record = find_record(name);
    if (record == nullptr)
        return Error(ErrorCode::NotFound, format("no module {} is loaded{}", name, why_absent(name)).text());
    HistoryRecord entry;
    PhaseClock clock(kernel_.threads, entry);
    entry.from = name_with_version(*record->current);
    bool begun = false;
    const auto result = [&]() -> Result<void> {
        change_.assert_held();
        TRY(check_removable(*record));
        auto departure = TRY(Departure::create(*this, *record));
        if (dependents == Dependents::Refuse) {
            TRY(departure.check_alone());
        } else {
            TRY(departure.add_dependents());
        }
        const auto leaving = departure.in_order();
        return remove_records(leaving, Alone::Yes, begun, gone, context);
    }();
    if (result.ok()) return result;
    const Error error = naming(name, result.error());
    if (!begun) (void)store(clock, error);
    return error;
}

Result<void> ModuleSystem::remove_record(ModuleRecord& record) {
    ModuleRecord* const leaving[] = {&record};
    bool begun = false;
    return remove_records(leaving, Alone::No, begun, nullptr, nullptr);
}

/// Gets everybody out of `record` and keeps them out while `hold` lasts.
Result<void> ModuleSystem::empty(ModuleRecord& record, ModuleHold& hold) {
    if (record.state() != ModuleState::Restarting || record.restarts.emptied || empty_failed(record, kLeaveWaitNs))
        return hold.acquire(kLeaveWaitNs);
    return Error(
        ErrorCode::TimedOut,
        format("{} did not leave the failed {}", ModuleHold::describe_caller(*record.current), record.name()).text());
}

// What a module does in stop may lead into those that go after it, so these are open until it is their turn: that
// everybody can leave them is seen beforehand.
Result<void> ModuleSystem::remove_records(Span<ModuleRecord* const> leaving, Alone alone, bool& begun,
                                          GoneFunction gone, void* context) {
    ModuleHold first(*leaving[0]);
    for (size_t i = leaving.size(); i-- > 0;) {
        ModuleHold look(*leaving[i]);
        if (auto left = empty(*leaving[i], i == 0 ? first : look); !left.ok())
            return Error(left.error().code(), format("{}; nothing was changed", left.error().sentence()).text());
    }
    TRY(unpublish(leaving));  // the last step that can be refused
    begun = true;
    Result<void> result;
    for (ModuleRecord* const record : leaving) {
        ModuleHold own(*record);
        ModuleHold& hold = record == leaving[0] ? first : own;
        const Result<void> left = record == leaving[0] ? Result<void>() : empty(*record, hold);
        HistoryRecord entry;
        entry.time_ns = arch::now_ns();
        entry.from = name_with_version(*record->current);
        entry.phase = Phase::Serving;
        entry.result = TransactionResult::Committed;
        if (auto gone_well = retire(*record, hold, left); !gone_well.ok()) {
            kernel_.log.warning("kernel", "{}", gone_well.error().sentence());
            entry.result = TransactionResult::Failed;
            entry.reason.assign(gone_well.error().sentence());
            if (result.ok()) result = gone_well;
        }
        if (alone == Alone::Yes) history_.add(entry);
        if (gone != nullptr) gone(context, record->name());
    }
    // Only now does no handle of theirs lead to any of them.
    for (ModuleRecord* const record : leaving) forget(*record);
    return result;
}

/// Stops `record`, which `hold` has emptied unless `left` is an error, and takes it out of the registry; its instance
/// is destroyed. Errors: ModuleFailed, if it did not go cleanly.
Result<void> ModuleSystem::retire(ModuleRecord& record, ModuleHold& hold, const Result<void>& left) {
    if (record.state() == ModuleState::Restarting) abandon_restart(record);
    end_probation_of(record);
    withdraw_interfaces(record);
    Instance& instance = *record.current;
    FixedText<186> complaint;
    const auto complain = [&](const Error& error) {
        complaint = format("{} was removed, but did not stop cleanly: {}", record.name(), error.sentence());
        instance.become(ModuleState::Failed);
    };
    if (record.state() == ModuleState::Running) {
        if (!left.ok()) {
            complain(left.error());
        } else if (instance.is_ended()) {
            instance.become(ModuleState::Failed);  // nothing of it runs any more, and so no stop
        } else if (auto stopped = instance.call_in_time<&Module::stop>(); !stopped.ok()) {
            complain(stopped.error());
        } else {
            instance.become(ModuleState::Stopped);
            report_leaks(instance);
        }
    }
    bool gone = expel(instance);
    for (uint32_t i = 0; i < record.slot_count && !left.ok(); ++i)
        gone &= record.slots[i]->wait_empty(kLeaveWaitNs).ok();
    {
        MutexGuard guard(registry_);
        records_.erase(records_.iterator_to(record));
        names_.remove(record);
        for (InterfaceRecord& interface : interfaces_) {
            if (interface.choice == &record) interface.choice = nullptr;
            if (interface.previous == &record) interface.previous = nullptr;
        }
    }
    // Calls that found the record before it left the registry see that it has no instance, and go.
    __atomic_store_n(&record.current, nullptr, __ATOMIC_RELEASE);
    hold.release();
    // One that went on from there into another module may take as long as that lets it.
    gone &= unpinned_.wait_until([&] { return __atomic_load_n(&record.pins, __ATOMIC_ACQUIRE) == 0; },
                                 deadline_after(kLeaveWaitNs), Cancellable::No) == WakeReason::Signalled;
    record.stays = !gone;
    if (gone)
        Instance::destroy(&instance);
    else
        complaint = format("{}: threads are still inside it; its memory stays", instance.name());
    if (complaint.empty()) return {};
    return Error(ErrorCode::ModuleFailed, complaint.text());
}

/// Frees a record that was retired, unless threads are still inside the instance, or somebody inside who stays has a
/// handle.
void ModuleSystem::forget(ModuleRecord& record) {
    lines_.release_all(record);
    {
        MutexGuard guard(registry_);
        for (uint32_t i = 0; i < record.slot_count; ++i)
            record.stays |= __atomic_load_n(&record.slots[i]->bindings, __ATOMIC_ACQUIRE) != 0;
        if (record.stays) return;
        while (record.slot_count != 0) Slot::destroy(kernel_, record.slots[--record.slot_count]);
        interfaces_.prune(kernel_);
    }
    release_kept(record);
    unmake(kernel_.heap, &record);
}

Result<void> ModuleSystem::unpublish(Span<ModuleRecord* const> leaving) {
    MutexGuard guard(registry_);
    Result<void> held;
    interfaces_.for_each_holding([&](const Instance& by, const Slot& slot) {
        if (held.ok() && contains(leaving, slot.record) && !contains(leaving, &by.record))
            held = Error(ErrorCode::Busy,
                         format("{} is in use: {} holds a handle to it", slot.record->name(), by.name()).text());
    });
    TRY(held);
    const auto blocks_in_use = [](const ModuleRecord& record) {
        return Error(ErrorCode::Busy, format("{} still holds blocks that are in use", record.name()).text());
    };
    // Of several, none is detached unless all can be.
    for (ModuleRecord* const record : leaving)
        if (leaving.size() > 1 && record->current->heap_owner != 0 && !record->current->is_ended() &&
            kernel_.heap.owner_statistics(record->current->heap_owner).blocks != 0)
            return blocks_in_use(*record);
    for (ModuleRecord* const record : leaving) {
        Instance& instance = *record->current;
        if (instance.heap_owner != 0 && !instance.is_ended() && !kernel_.heap.try_detach(instance.heap_owner))
            return blocks_in_use(*record);
        instance.heap_owner = 0;
    }
    for (ModuleRecord* const record : leaving) {
        record->changes = true;
        for (uint32_t i = 0; i < record->slot_count; ++i) {
            Slot& slot = *record->slots[i];
            if (slot.is_linked()) slot.interface.implementors.erase(slot.interface.implementors.iterator_to(slot));
        }
    }
    return {};
}

}  // namespace helix::kernel

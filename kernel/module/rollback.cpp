// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What was replaced comes back, for what replaced it failed on probation. All that one transaction replaced, or nobody.

#include "kernel/kernel.hpp"
#include "kernel/module/module_system.hpp"

#include <utility>

namespace helix::kernel {

namespace {
/// What the history, and the trace, say of a transaction that was undone on probation.
void note_undone(History& history, uint64_t id, TransactionResult result, Text why, const FailureCause& cause,
                 uint64_t evict_ns) {
    history.amend(id, [&](HistoryRecord& entry) {
        entry.result = result;
        entry.phase = Phase::Probation;
        entry.reason.assign(why);
        entry.cause = cause;
        entry.evict_ns = evict_ns;
        Trace::note(TraceKind::Transaction, static_cast<uint8_t>(result), 0, static_cast<uint32_t>(current_thread().id),
                    0, entry.from.text());
    });
}
}  // namespace

void ModuleSystem::roll_back(Probation& probation, Text reason) {
    const size_t records = probation.group.size() == 0 ? 1 : probation.group.size();
    FailureCause cause;
    uint64_t evict_ns = 0;
    const auto note = [&](TransactionResult result, Text why) {
        for (size_t i = 0; i < records; ++i)
            note_undone(history_, probation.history_id + i, result, why, cause, evict_ns);
    };
    probation.active = false;
    if (probation.previous_policy != nullptr) {
        const Instance& failed = *probation.record->current;
        cause = failed.note.cause;
        evict_ns = kernel_.threads.cycles_to_ns(kernel_.threads.policy().returned_cycles() - failed.failed_cycles);
        note(TransactionResult::RolledBack, reason);
        return roll_back_policy(probation);
    }
    Replacements group = std::move(probation.group);
    for (const Replacement& member : group) {
        Instance& failed = *member.record.current;
        if (!failed.is_ended()) continue;
        cause = failed.note.cause;
        member.record.restarts.reason.assign(reason);
        kernel_.threads.cancel_threads_of(failed);
    }
    const auto returned = let_spares_serve(group);
    if (!returned.ok())
        kernel_.log.error("supervisor", "{}: the previous version could not return: {}", group[0].record.name(),
                          returned.error().sentence());
    note(returned.ok() ? TransactionResult::RolledBack : TransactionResult::Cancelled,
         returned.ok() ? reason : returned.error().sentence());
    for (size_t i = 0; i < group.size(); ++i) {
        group[i].record.open_after_failed();
        group[i].hold.release();
    }
    // Whoever does not serve goes, dependents first.
    for (size_t i = group.size(); i-- > 0;) {
        ModuleRecord& record = group[i].record;
        if (!returned.ok()) {
            Instance& spare = *group[i].spare;
            if (spare.state == ModuleState::Running && spare.call_in_time<&Module::stop>().ok())
                spare.become(ModuleState::Stopped);
            dispose(spare);
            if (record.current->is_ended()) retire_failed(record);
            continue;
        }
        kernel_.log.warning("supervisor", "{} returned to its previous version", record.name());
        keep_reloaded(group[i], *record.current);
        Instance& replaced = *group[i].old;
        if (replaced.is_ended()) {
            replaced.become(ModuleState::Failed);
            dispose(replaced);
        } else {
            retire_replaced(replaced);
        }
        give_back_mappings(record);
    }
}

/// Starts the spares with the state that was saved when their places were given to others.
Result<void> ModuleSystem::start_spares(const Replacements& group) {
    for (size_t i = 0; i < group.size(); ++i) {
        Instance& spare = *group[i].spare;
        if (!group[i].state.empty()) {
            StateReader reader = TRY(StateReader::open(group[i].state));
            TRY(spare.call_in_time<&Module::restore_state>(reader, Reason::Rollback));
        }
        TRY(spare.call_in_time<&Module::start>());
        spare.become(ModuleState::Running);
    }
    return {};
}

/// Nobody is inside any of the modules afterwards, nor let in again; with success the spares fill their places.
Result<void> ModuleSystem::let_spares_serve(Replacements& group) {
    const uint64_t deadline_ns = deadline_after(kCallWaitNs);
    for (size_t i = group.size(); i-- > 0;) {
        const uint64_t now_ns = arch::now_ns();
        TRY(group[i].hold.acquire(deadline_ns > now_ns ? deadline_ns - now_ns : 0));
    }
    TRY(start_spares(group));
    MutexGuard guard(registry_);
    // On probation more may have been bound. What the new instances hold does not count any more.
    for (Replacement& member : group) {
        member.image = member.spare->image;
        member.old = member.record.current;
        member.old->leaves = true;
    }
    changing_ = &group;
    Result<void> able;
    for (const Replacement& member : group)
        if (able.ok()) able = check_holders(member.record, *member.spare->descriptor);
    changing_ = nullptr;
    for (Replacement& member : group) {
        member.image = nullptr;
        member.old->leaves = able.ok();
        if (!able.ok()) continue;
        __atomic_store_n(&member.record.current, member.spare, __ATOMIC_RELEASE);
        member.record.file = member.file;
        ++member.record.generation;
    }
    for (size_t i = 0; i < group.size() && able.ok(); ++i) refill_slots(group[i].record, *group[i].spare);
    return able;
}

/// The threads' side has flipped back; here the registry follows.
void ModuleSystem::roll_back_policy(Probation& probation) {
    ModuleRecord& record = *probation.record;
    Instance* const failed = record.current;
    Instance* const previous = std::exchange(probation.previous_policy, nullptr);
    {
        MutexGuard guard(registry_);
        InterfaceRecord& interface = *interfaces_.find(InterfaceTraits<Scheduler>::kId.name);
        interface.primary_record = interface.choice = probation.previous_record;
        if (&previous->record == &record) {
            record.current = previous;
            record.file = probation.previous_file;
            ++record.generation;
            refill_slots(record, *previous);
        } else {
            interface.primary->fill(target_of(*previous, interface.name.text()));
        }
    }
    kernel_.log.warning("supervisor", "{} rules helix.scheduler again", previous->name());
    if (&previous->record == &record) {
        failed->become(ModuleState::Failed);
        dispose(*failed);
        record.open_after_failed();
    } else if (probation.unload_on_rollback) {
        remove_failed(record);
    } else {
        retire_failed(record);
    }
}

/// A failed module that was loaded to take a place which it does not keep.
void ModuleSystem::remove_failed(ModuleRecord& record) {
    retire_failed(record);
    if (const auto removed = remove_record(record); !removed.ok())
        kernel_.log.warning("supervisor", "{} stays: {}", record.name(), removed.error().sentence());
}

/// Wherever `failed` is primary by a swap that is on probation, who was primary before is so again, if it can be. True
/// if it was loaded for one of these swaps, and is to be removed.
bool ModuleSystem::roll_back_swaps_of(Instance& failed, Text reason) {
    bool goes = false;
    for (Probation& probation : probations_) {
        if (!probation.active || probation.interface == nullptr || probation.record != &failed.record) continue;
        const bool returned = return_primary(probation);
        if (returned) {
            goes |= probation.unload_on_rollback;
            note_undone(history_, probation.history_id, TransactionResult::RolledBack, reason, failed.note.cause, 0);
            probation.active = false;
        } else {
            end_probation(probation);
        }
    }
    return goes;
}

/// False if that module cannot serve those who hold handles by now, and will not again: the swap stands.
bool ModuleSystem::return_primary(const Probation& probation) {
    ModuleRecord& back = *probation.previous_record;
    InterfaceRecord& interface = *probation.interface;
    {
        MutexGuard guard(registry_);
        if (!back.is_wanted() || target_of(*back.current, interface) == nullptr ||
            !interfaces_.check_holders(*interface.primary, *back.current->descriptor).ok())
            return false;
        interface.primary_record = &back;
        interface.choice = &back;
        // One that is to be restarted fills it then.
        const bool runs = back.state() == ModuleState::Running;
        interface.primary->fill(runs ? target_of(*back.current, interface) : nullptr);
    }
    if (is_decided(&back)) interface.primary->open_after_failed();
    kernel_.log.warning("supervisor", "{} is primary for {} again", back.name(), interface.name);
    return true;
}

}  // namespace helix::kernel

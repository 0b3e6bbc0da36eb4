// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Swap as a transaction, and what it shares with reload (reload.cpp): prepare, hold, transfer, verify, commit,
// probation, and back out of any step.

#include "kernel/kernel.hpp"
#include "kernel/module/module_hold.hpp"
#include "kernel/module/module_system.hpp"

#include <utility>

namespace helix::kernel {

namespace {

constexpr uint64_t kHoldDeadlineNs = 2'000'000'000;  // how long a hold waits for calls that are inside

Error not_implemented(const ModuleRecord& record, Text interface) {
    return Error(ErrorCode::InvalidArgument, format("{} does not implement {}", record.name(), interface).text());
}

}  // namespace

FixedText<46> ModuleSystem::name_with_version(Text name, Version version) {
    return format<46>("{} {}.{}.{}", name, version.major, version.minor, version.patch);
}

Error ModuleSystem::naming(Text name, const Error& error) {
    const Text sentence = error.sentence();
    for (size_t i = 0; i + name.size() <= sentence.size(); ++i)
        if (sentence.substr(i, name.size()) == name) return error;
    return Error(error.code(), format("{}: {}", name, sentence).text());
}

/// Completes the record of a transaction and puts it into the history. A probation that it began knows its number.
Probation* ModuleSystem::store(PhaseClock& clock, const Result<void>& result) {
    clock.finish();
    note_pause(clock.entry());
    if (!result.ok()) clock.entry().reason.assign(result.error().sentence());
    clock.entry().id = history_.add(clock.entry());
    for (Probation& probation : probations_) {
        if (!probation.active || probation.history_id != 0) continue;
        probation.history_id = clock.entry().id;
        return &probation;
    }
    return nullptr;
}

/// Counts the pause of `entry` with the module that serves since.
void ModuleSystem::note_pause(const HistoryRecord& entry) {
    const bool replaced = entry.result == TransactionResult::Committed && !entry.from.empty();
    if (!replaced && entry.result != TransactionResult::Restarted) return;
    size_t size = 0;  // of the name, which the version follows
    while (size < entry.to.size() && entry.to.data()[size] != ' ') ++size;
    if (ModuleRecord* const record = find_record(entry.to.text().substr(0, size)))
        record->metrics.add_pause(entry.pause_ns);
}

/// The interface that the kernel itself calls and that `record` implements as the primary one, or would if it had not
/// failed: it is the profile's or the last swap's choice, and nobody took over. Null if there is none.
InterfaceRecord* ModuleSystem::ruled_by(ModuleRecord& record) const {
    for (uint32_t i = 0; i < record.slot_count; ++i) {
        InterfaceRecord& interface = record.slots[i]->interface;
        if (!is_plugged_by_kernel(interface.name.text())) continue;
        const ModuleRecord* const rules = interface.primary_record;
        if (rules == &record || (rules == nullptr && interface.choice == &record)) return &interface;
    }
    return nullptr;
}

void ModuleSystem::set_choice(InterfaceRecord& interface, ModuleRecord* record) {
    MutexGuard guard(registry_);
    interface.choice = record;
}

Result<void> ModuleSystem::check_reloadable(ModuleRecord& record, const Image& image) {
    if (record.state() == ModuleState::Running && !has(record.current->info().flags(), ModuleFlags::HotReloadable))
        return Error(ErrorCode::PermissionDenied, format("{} does not allow hot reload", record.name()).text());
    TRY(check_not_standing_by(record));
    for (uint32_t i = 0; i < record.slot_count; ++i) {
        if (!record.slots[i]->is_linked()) continue;
        const InterfaceRecord& interface = record.slots[i]->interface;
        const Text name = interface.name.text();
        // Elsewhere whoever holds a handle speaks against that, below.
        if (!is_plugged_by_kernel(name) || interface.primary_record != &record) continue;
        if (find_interface(image.descriptor(), name) != nullptr) continue;
        return Error(ErrorCode::Incompatible,
                     format("{} rules {}, which the new one does not implement; swap another module in first",
                            record.name(), name)
                         .text());
    }
    MutexGuard guard(registry_);
    return check_holders(record, image.descriptor());
}

/// What `from` saves, in `buffer`; it is validated before it is used. Nobody is inside `from`.
Result<void> ModuleSystem::save_state_of(Instance& from, Buffer& buffer, Bytes& state, Seal seal) {
    StateWriter writer(buffer.mutable_bytes(), from.info().state_schema());
    TRY(from.call_in_time<&Module::save_state>(writer));
    if (writer.empty()) return {};
    state = TRY(seal == Seal::Now ? writer.finish() : writer.finish_unsealed());
    return {};
}

/// `state`, if there is any, for an instance that takes the place of the one that saved it.
/// Schemas of different modules, `saved_by` and that of `to`, say nothing of each other.
Result<void> ModuleSystem::restore_state_of(Instance& to, Bytes state, Text saved_by, Seal seal) {
    if (state.empty()) return {};
    StateReader reader = TRY(seal == Seal::Now ? StateReader::open(state) : StateReader::open_unsealed(state));
    if (saved_by == to.info().name() && reader.schema() > to.info().state_schema())
        return Error(ErrorCode::Incompatible, format("{} reads state up to schema {}, the saved is {}", to.name(),
                                                     to.info().state_schema(), reader.schema())
                                                  .text());
    return to.call_in_time<&Module::restore_state>(reader, Reason::Reload);
}

Result<void> ModuleSystem::check_health(Instance& candidate) {
    const bool healthy = TRY(candidate.call_in_time<&Module::is_healthy>());
    if (!healthy)
        return Error(ErrorCode::InvalidState,
                     format("the new {} says that it is not healthy", candidate.name()).text());
    return {};
}

/// Stops and destroys an instance whose place another has taken.
void ModuleSystem::retire_replaced(Instance& old) {
    if (old.state == ModuleState::Running) {
        auto stopped = old.call_in_time<&Module::stop>();
        if (stopped.ok()) {
            old.become(ModuleState::Stopped);
            report_leaks(old);
        } else {
            old.become(ModuleState::Failed);
            kernel_.log.warning("kernel", "{} (old instance): {}", old.name(), stopped.error().sentence());
        }
    }
    (void)dispose(old);
}

Result<InterfaceRecord*> ModuleSystem::find_interface_record(Text name) {
    MutexGuard guard(registry_);
    InterfaceRecord* const interface = interfaces_.find(name);
    if (interface != nullptr) return interface;
    return Error(ErrorCode::NotFound, format("no interface {}; `interfaces` lists them", name).text());
}

/// Finds what is to be swapped, and loads `name` if it is a file. With `terms` what speaks against a canary comes
/// first.
Result<void> ModuleSystem::begin_swap(Swapping& swapping, Text interface_name, Text name, const CanaryTerms* terms) {
    HistoryRecord& entry = swapping.clock.entry();
    entry.interface.assign(interface_name);
    InterfaceRecord* const interface = swapping.interface = TRY(find_interface_record(interface_name));
    if (interface->primary_record != nullptr) entry.from = name_with_version(*interface->primary_record->current);
    entry.to = FixedText<46>(name);
    if (interface->name == InterfaceTraits<Scheduler>::kId.name) TRY(check_no_canary());
    if (terms != nullptr) TRY(check_canary(*interface, *terms));
    ModuleRecord* record = find_record(name);
    if (record == nullptr) {
        auto loaded = load_record(name, {}, Link::Dynamic, swapping.clock);
        if (!loaded.ok()) {
            FixedText<62> full_name;  // what it needs may be what was not found
            if (!find_file(module_of(name), full_name).ok())
                return Error(ErrorCode::NotFound, format("no module and no file {}", name).text());
            return naming(name, loaded.error());
        }
        record = loaded.value();
        swapping.is_loaded = true;
        MutexGuard registry(registry_);
        swapping.interface = interfaces_.find(interface_name);  // one that nobody sees is removed by a load
    }
    if (record->state() == ModuleState::Failed)
        return Error(ErrorCode::InvalidState, format("{} failed; reload it first", name).text());
    if (record->state() != ModuleState::Running)
        return Error(ErrorCode::InvalidState, format("{} is not running", name).text());
    swapping.record = record;
    entry.to = name_with_version(*record->current);
    if (swapping.interface == nullptr) return not_implemented(*record, interface_name);
    return {};
}

/// The last step of a swap, whatever `result` it had so far: what was loaded for one that failed goes, and the history
/// has its record.
Result<uint64_t> ModuleSystem::finish_swap(Swapping& swapping, Result<void> result) {
    ModuleRecord* const record = swapping.record;
    if (result.ok()) {
        set_choice(*swapping.interface, record);
    } else if (record != nullptr) {
        result = naming(record->name(), result.error());
        if (swapping.is_loaded)
            if (const auto removed = remove_record(*record); !removed.ok())  // somebody may have bound it by its name
                result = Error(result.error().code(),
                               format("{}; {}", result.error().sentence(), removed.error().sentence()).text());
    }
    if (Probation* const begun = store(swapping.clock, result)) begun->unload_on_rollback = swapping.is_loaded;
    TRY(result);
    return swapping.clock.entry().id;
}

Result<uint64_t> ModuleSystem::swap(Text interface_name, Text name) {
    MutexGuard guard(change_);
    look_after_failed();
    Swapping swapping(kernel_.threads);
    const auto result = [&]() -> Result<void> {
        change_.assert_held();
        TRY(begin_swap(swapping, interface_name, name, nullptr));
        if (!swapping.is_loaded || swapping.interface->primary_record != swapping.record)
            return swap_primary(*swapping.interface, *swapping.record, swapping.clock);
        // Nobody was, so that it became primary when it was loaded.
        HistoryRecord& entry = swapping.clock.entry();
        entry.result = TransactionResult::Committed;
        entry.phase = Phase::Serving;
        swapping.clock.stop();
        return {};
    }();
    return finish_swap(swapping, result);
}

Result<void> ModuleSystem::check_implementor(const InterfaceRecord& interface, const ModuleRecord& record) {
    if (target_of(*record.current, interface.name.text()) == nullptr)
        return not_implemented(record, interface.name.text());
    if (interface.primary_record == &record)
        return Error(ErrorCode::AlreadyExists,
                     format("{} rules {} already", record.name(), interface.name.text()).text());
    return {};
}

Result<void> ModuleSystem::swap_primary(InterfaceRecord& interface, ModuleRecord& record, PhaseClock& clock) {
    TRY(check_implementor(interface, record));
    const SlotTarget* const target = target_of(*record.current, interface.name.text());
    if (interface.name == InterfaceTraits<Scheduler>::kId.name)
        return plug_in_scheduler(record, *record.current, clock);
    if (interface.name == InterfaceTraits<Allocator>::kId.name) return plug_in_allocator(record, clock);

    HistoryRecord& entry = clock.entry();
    const auto check = [&] {
        registry_.assert_held();
        return interfaces_.check_holders(*interface.primary, *record.current->descriptor);
    };
    {
        MutexGuard guard(registry_);
        TRY(check());
    }
    clock.enter(Phase::Hold);
    ModuleRecord* const replaced = interface.primary_record;
    Instance* const old = replaced == nullptr ? nullptr : replaced->current;
    interface.primary->close();
    if (old != nullptr) old->begin_restart();
    const bool empty = interface.primary->wait_empty(kHoldDeadlineNs).ok();
    if (old != nullptr) old->end_restart();
    if (!empty) {
        const auto who = ModuleHold::describe_caller(*old);
        interface.primary->open();
        clock.stop();
        entry.result = TransactionResult::Cancelled;
        return Error(ErrorCode::TimedOut,
                     format("{} did not leave {}; the swap was cancelled", who, old->name()).text());
    }
    clock.enter(Phase::Commit);
    Result<void> checked;
    {
        MutexGuard guard(registry_);
        checked = check();  // more handles may have been bound meanwhile
        if (checked.ok()) {
            interface.primary_record = &record;
            interface.primary->fill(target);
        }
    }
    interface.primary->open();
    if (replaced != nullptr) replaced->open_after_failed();  // it may have failed, and be waited for
    clock.stop();
    if (!checked.ok()) {
        entry.result = TransactionResult::Cancelled;
        return checked;
    }
    entry.result = TransactionResult::Committed;
    entry.phase = Phase::Serving;
    return {};
}

}  // namespace helix::kernel

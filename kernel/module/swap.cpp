// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Swap: another module becomes the primary implementor of an interface, as one transaction. Here those interfaces that
// modules alone call; the two that the kernel calls are in scheduler_swap.cpp and allocator_swap.cpp.

#include "kernel/kernel.hpp"
#include "kernel/module/module_hold.hpp"
#include "kernel/module/module_system.hpp"

#include <utility>

namespace helix::kernel {

namespace {

Error not_implemented(const ModuleRecord& record, Text interface) {
    return Error(ErrorCode::InvalidArgument, format("{} does not implement {}", record.name(), interface).text());
}

/// Whether it serves, or would if somebody called.
bool serves(const ModuleRecord* record) {
    return record != nullptr && record->state() == ModuleState::Running && !record->current->is_ended();
}

}  // namespace

Result<InterfaceRecord*> ModuleSystem::find_interface_record(Text name) {
    MutexGuard guard(registry_);
    InterfaceRecord* const interface = interfaces_.find(name);
    if (interface != nullptr) return interface;
    return Error(ErrorCode::NotFound, format("no interface {}; `interfaces` lists them", name).text());
}

/// The module for a swap that has to load it. It is started and found by its name, unless it is to get the state of who
/// serves: then it is Initialized, and found by nobody.
Result<ModuleRecord*> ModuleSystem::load_for_swap(Text interface, const ModuleRecord* serving, Text name,
                                                  PhaseClock& clock) {
    auto prepared = prepare_record(name, {}, Link::Dynamic, clock);
    if (!prepared.ok()) {
        FixedText<62> full_name;  // what it needs may be what was not found
        if (!find_file(module_of(name), full_name).ok())
            return Error(ErrorCode::NotFound, format("no module and no file {}", name).text());
        return naming(name, prepared.error());
    }
    ModuleRecord& record = *prepared.value();
    const bool takes_state = !is_plugged_by_kernel(interface) && serves(serving) &&
                             target_of(*record.current, interface) != nullptr &&
                             record.current->info().state_format() == serving->current->info().state_format();
    if (takes_state) return &record;
    const auto started = start_record(record);
    if (started.ok()) return &record;
    discard_record(record);
    return naming(name, started.error());
}

/// Finds what is to be swapped, and loads `name` if it is a file. With `terms` what speaks against a canary comes
/// first.
Result<void> ModuleSystem::begin_swap(Swapping& swapping, Text interface_name, Text name, const CanaryTerms* terms) {
    HistoryRecord& entry = swapping.clock.entry();
    entry.interface.assign(interface_name);
    InterfaceRecord* const interface = swapping.interface = TRY(find_interface_record(interface_name));
    swapping.replaced = interface->primary_record;
    if (swapping.replaced != nullptr) entry.from = name_with_version(*swapping.replaced->current);
    entry.to = FixedText<46>(name);
    if (interface->name == InterfaceTraits<Scheduler>::kId.name) TRY(check_no_canary());
    if (terms != nullptr) TRY(check_canary(*interface, *terms));
    ModuleRecord* record = find_record(name);
    if (record == nullptr) {
        record = TRY(load_for_swap(interface_name, swapping.replaced, name, swapping.clock));
        swapping.is_loaded = true;
        MutexGuard registry(registry_);
        swapping.interface = interfaces_.find(interface_name);  // one that nobody sees is removed by a load
    }
    if (record->state() == ModuleState::Failed)
        return Error(ErrorCode::InvalidState, format("{} failed; reload it first", name).text());
    if (!swapping.is_loaded && record->state() != ModuleState::Running)
        return Error(ErrorCode::InvalidState, format("{} is not running", name).text());
    swapping.record = record;
    entry.to = name_with_version(*record->current);
    if (swapping.interface == nullptr) return not_implemented(*record, interface_name);
    return {};
}

/// The last step of a swap, whatever `result` it had so far: what was loaded for one that failed goes, the history has
/// its record, and probation begins.
Result<uint64_t> ModuleSystem::finish_swap(Swapping& swapping, Result<void> result) {
    HistoryRecord& entry = swapping.clock.entry();
    ModuleRecord* const record = swapping.record;
    if (result.ok()) {
        set_choice(*swapping.interface, record);
        if (!is_plugged_by_kernel(entry.interface.text())) {
            end_probation_of(*swapping.interface);  // of who was primary until now
            if (serves(swapping.replaced)) entry.phase = Phase::Probation;
        }
    } else if (record != nullptr) {
        result = naming(record->name(), result.error());
        if (swapping.is_loaded && !record->is_linked()) {  // nobody ever found it
            discard_record(*record);
        } else if (swapping.is_loaded) {
            if (const auto removed = remove_record(*record); !removed.ok())  // somebody may have bound it by its name
                result = Error(result.error().code(),
                               format("{}; {}", result.error().sentence(), removed.error().sentence()).text());
        }
    }
    Probation* begun = store(swapping.clock, result);
    TRY(result);
    if (begun == nullptr && entry.phase == Phase::Probation) {
        Probation probation;
        probation.history_id = entry.id;
        probation.interface = swapping.interface;
        probation.record = record;
        probation.previous_record = swapping.replaced;
        begun = &begin_probation(std::move(probation));
    }
    if (begun != nullptr) begun->unload_on_rollback = swapping.is_loaded;
    return entry.id;
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

    const auto check = [&] {
        registry_.assert_held();
        return interfaces_.check_holders(*interface.primary, *record.current->descriptor);
    };
    {
        MutexGuard guard(registry_);
        TRY(check());
    }
    HistoryRecord& entry = clock.entry();
    const bool takes_state = record.state() == ModuleState::Initialized;
    Buffer buffer;
    if (takes_state) {
        buffer = TRY(Buffer::create(kStateCapacity));
    } else {  // others may be calling it, so it is asked before anybody is held
        clock.enter(Phase::Verify);
        TRY(check_health_of(record));
    }
    ModuleRecord* const replaced = interface.primary_record;
    ModuleHold hold(replaced == nullptr ? record : *replaced);
    clock.enter(Phase::Hold);
    const auto swapped = [&]() -> Result<void> {
        change_.assert_held();
        entry.result = TransactionResult::Cancelled;
        auto held = replaced == nullptr ? Result<void>()
                    : takes_state       ? hold.acquire(kHoldDeadlineNs)
                                        : hold.acquire(*interface.primary, kHoldDeadlineNs);
        if (held.ok() && takes_state) held = hold.park_threads(deadline_after(kHoldDeadlineNs));
        if (!held.ok())
            return Error(held.error().code(), format("{}; the swap was cancelled", held.error().sentence()).text());
        if (takes_state) TRY(take_over(record, *replaced->current, buffer, clock));
        clock.enter(Phase::Commit);
        entry.result = TransactionResult::RolledBack;
        if (record.current->is_ended()) return record.current->failed_error();
        MutexGuard guard(registry_);
        TRY(check());  // more handles may have been bound meanwhile
        interface.primary_record = &record;
        interface.primary->fill(target);
        return {};
    }();
    hold.release();
    if (replaced != nullptr) replaced->open_after_failed();  // it may have failed, and be waited for
    clock.stop();
    TRY(swapped);
    entry.result = TransactionResult::Committed;
    entry.phase = Phase::Serving;
    return {};
}

/// When nobody else calls the module of `record`.
// The call lock may or may not be had, which the analysis cannot follow.
Result<void> ModuleSystem::check_health_of(ModuleRecord& record) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    TRY(lock_calls(record));
    const auto healthy = check_health(*record.current);
    record.call_lock.unlock();
    return healthy;
}

/// Starts the module of `record`, which nobody knows, with the state of `from`, which goes on afterwards. Nobody is
/// inside that one.
// The call lock is held only if nobody else has it, which the analysis cannot follow.
Result<void> ModuleSystem::take_over(ModuleRecord& record, Instance& from, Buffer& buffer,
                                     PhaseClock& clock) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    clock.enter(Phase::Transfer);
    Bytes state;
    TRY(save_state_of(from, buffer, state));
    clock.entry().result = TransactionResult::RolledBack;
    clock.entry().state_bytes = state.size();
    TRY(restore_state_of(*record.current, state, from.info().state_format()));
    TRY(lock_calls(record));  // whoever finds it from now on waits for its turn
    const auto started = [&]() -> Result<void> {
        change_.assert_held();
        TRY(start_record(record));
        keep_for_restart(record, state, arch::now_ns());
        clock.enter(Phase::Verify);
        return check_health(*record.current);
    }();
    record.call_lock.unlock();
    return started;
}

}  // namespace helix::kernel

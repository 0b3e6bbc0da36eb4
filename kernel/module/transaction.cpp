// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Reload and swap as transactions: prepare, hold, transfer, verify, commit, probation, and back out of any step.

#include "kernel/kernel.hpp"
#include "kernel/module/module_system.hpp"

namespace helix::kernel {

namespace {

constexpr uint64_t kHoldDeadlineNs = 2'000'000'000;  // how long a hold waits for calls that are inside
constexpr size_t kStateCapacity = 16 * 1024;

FixedText<46> name_with_version(const ModuleInfo& info) {
    const Version version = info.version();
    return format<46>("{} {}.{}.{}", info.name(), version.major, version.minor, version.patch);
}

/// Writes a record's times: each phase ends where the next begins.
class PhaseClock {
public:
    explicit PhaseClock(HistoryRecord& entry) : entry_(entry), last_(arch::now_ns()) { entry.time_ns = last_; }
    void enter(Phase next) {
        const uint64_t now = arch::now_ns();
        entry_.phase_ns[static_cast<size_t>(entry_.phase)] += now - last_;
        last_ = now;
        entry_.phase = next;
    }

private:
    HistoryRecord& entry_;
    uint64_t last_;
};

}  // namespace

Result<void> ModuleSystem::reload(Text name, Text file) {
    MutexGuard guard(change_);
    look_after_failed();
    ModuleRecord* const record = find_record(name);
    if (record == nullptr) return Error(ErrorCode::NotFound, format("no module {} is loaded", name).text());

    HistoryRecord entry;
    entry.time_ns = arch::now_ns();
    entry.from = name_with_version(record->current->info());
    auto result = [&]() -> Result<void> {
        FixedText<62> full_name;
        const Bytes bytes = TRY(find_file(file.empty() ? record->file.text() : file, full_name));
        Image* const image = TRY(Image::create(kernel_.memory, bytes, full_name.text()));
        entry.to = name_with_version(image->info());
        Result<void> outcome;
        if (image->info().name() != record->name())
            outcome = Error(ErrorCode::InvalidArgument,
                            format("{} holds {}, not {}; use swap to put another module in its place", full_name.text(),
                                   image->info().name(), record->name())
                                .text());
        auto replaced = outcome.ok() ? reload_in_place(*record, *image, entry) : Result<void>(outcome);
        image->release();
        if (replaced.ok()) record->file = full_name;
        return replaced;
    }();
    if (!result.ok()) entry.reason.assign(result.error().sentence());
    const uint64_t id = history_.add(entry);
    for (Probation& probation : probations_)
        if (probation.active && probation.history_id == 0) probation.history_id = id;
    return result;
}

// `reopen` releases the call lock in one of three places, which the analysis cannot follow.
Result<void> ModuleSystem::reload_in_place(ModuleRecord& record, Image& image,
                                           HistoryRecord& entry) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    PhaseClock clock(entry);
    const ModuleInfo& old_info = record.current->info();
    const bool was_running = record.state() == ModuleState::Running;
    if (was_running && !has(old_info.flags(), ModuleFlags::HotReloadable))
        return Error(ErrorCode::PermissionDenied, format("{} does not allow hot reload", record.name()).text());

    // Prepare: everything that can fail without anybody noticing.
    Instance* const candidate = TRY(make_candidate(record, image, entry.phase));
    const auto abandon = [&](Instance* instance) { dispose(*instance); };
    for (uint32_t i = 0; i < record.slot_count; ++i) {
        const Text interface = record.slots[i]->interface.name.text();
        if (target_of(*candidate, interface) != nullptr) continue;
        abandon(candidate);
        return Error(ErrorCode::Incompatible,
                     format("the new {} no longer implements {}", record.name(), interface).text());
    }

    InterfaceRecord* ruled = nullptr;
    for (uint32_t i = 0; i < record.slot_count; ++i)
        if (record.slots[i]->interface.primary_record == &record) ruled = &record.slots[i]->interface;
    if (ruled != nullptr && ruled->name == InterfaceTraits<Scheduler>::kId.name) {
        entry.interface = ruled->name;
        auto started = candidate->call<&Module::start>();
        if (!started.ok()) {
            abandon(candidate);
            return started;
        }
        candidate->become(ModuleState::Running);
        return plug_in_scheduler(record, *candidate, entry);
    }
    if (ruled != nullptr && ruled->name == InterfaceTraits<Allocator>::kId.name) {
        abandon(candidate);
        return Error(ErrorCode::NotSupported, "the ruling allocator is replaced by swap, not by reload");
    }

    end_probation_of(record);  // the instance that is replaced now needs no way back any more
    Probation probation;
    probation.record = &record;
    if (was_running) {
        // The spare: an instance of the previous image, ready to start with the state that is about to be saved.
        Phase ignored{};
        auto spare = make_candidate(record, *record.current->image, ignored);
        if (spare.ok())
            probation.spare = spare.value();
        else
            kernel_.log.warning("kernel", "{}: no spare for probation: {}", record.name(), spare.error().sentence());
    }
    auto buffer = Buffer::create(kStateCapacity);
    const auto undo = [&](Text sentence, ErrorCode code) -> Error {
        abandon(candidate);
        if (probation.spare != nullptr) abandon(probation.spare);
        return Error(code, sentence);
    };
    if (!buffer.ok()) return undo("no memory for the state", ErrorCode::OutOfMemory);

    // Hold: new callers wait, those inside leave.
    clock.enter(Phase::Hold);
    entry.prepare_ns =
        entry.phase_ns[static_cast<size_t>(Phase::Prepare)] + entry.phase_ns[static_cast<size_t>(Phase::Init)];
    const uint64_t held_ns = arch::now_ns();
    const uint64_t held_cycles = arch::cycles();
    const auto reopen = [&]() HELIX_NO_THREAD_SAFETY_ANALYSIS {
        for (uint32_t i = 0; i < record.slot_count; ++i) {
            record.slots[i]->open();
            if (record.slots[i]->interface.primary_record == &record) record.slots[i]->interface.primary->open();
        }
        record.call_lock.unlock();
        entry.pause_ns = arch::now_ns() - held_ns;
        entry.pause_cycles = arch::cycles() - held_cycles;
    };
    if (!record.call_lock.lock_for(kHoldDeadlineNs)) {
        entry.result = TransactionResult::Cancelled;
        return undo("a call into the module did not end in time; the reload was cancelled", ErrorCode::TimedOut);
    }
    bool empty = true;
    for (uint32_t i = 0; i < record.slot_count && empty; ++i) {
        InterfaceRecord& interface = record.slots[i]->interface;
        record.slots[i]->close();
        empty = record.slots[i]->wait_empty(kHoldDeadlineNs).ok();
        if (interface.primary_record != &record || !empty) continue;
        interface.primary->close();
        empty = interface.primary->wait_empty(kHoldDeadlineNs).ok();
    }
    if (!empty) {
        reopen();
        entry.result = TransactionResult::Cancelled;
        return undo("a caller inside an interface did not leave in time; the reload was cancelled",
                    ErrorCode::TimedOut);
    }

    // Transfer: state from old to new, and the start of the new.
    clock.enter(Phase::Transfer);
    Instance* const old = record.current;
    Bytes state;
    auto transferred = [&]() -> Result<void> {
        if (was_running) {
            StateWriter writer(buffer.value().mutable_bytes(), old->info().state_schema());
            TRY(old->call<&Module::save_state>(writer));
            if (!writer.empty()) {
                state = TRY(writer.finish());
                StateReader reader = TRY(StateReader::open(state));
                if (reader.schema() > candidate->info().state_schema())
                    return Error(ErrorCode::Incompatible, "its state schema is older than that of the running module");
                TRY(candidate->call<&Module::restore_state>(reader, Reason::Reload));
            }
        }
        TRY(candidate->call<&Module::start>());
        candidate->become(ModuleState::Running);
        clock.enter(Phase::Verify);
        const bool healthy = TRY(candidate->call<&Module::is_healthy>());
        if (!healthy) return Error(ErrorCode::InvalidState, "the new instance says that it is not healthy");
        return {};
    }();
    entry.state_bytes = state.size();
    if (!transferred.ok()) {
        if (candidate->state == ModuleState::Running) (void)candidate->call<&Module::stop>().ok();
        reopen();
        entry.result = old->is_ended() ? TransactionResult::Cancelled : TransactionResult::RolledBack;
        return undo(transferred.error().sentence(), transferred.error().code());
    }

    // Commit.
    clock.enter(Phase::Commit);
    {
        MutexGuard guard(registry_);
        record.current = candidate;
        ++record.generation;
        refill_slots(record, *candidate);
    }
    reopen();
    entry.result = TransactionResult::Committed;
    if (old->state == ModuleState::Running) {
        auto stopped = old->call<&Module::stop>();
        if (stopped.ok()) {
            old->become(ModuleState::Stopped);
            report_leaks(*old);
        } else {
            old->become(ModuleState::Failed);
            kernel_.log.warning("kernel", "{} (old instance): {}", record.name(), stopped.error().sentence());
        }
    }
    if (!expel(*old))
        kernel_.log.error("kernel", "{}: threads of the old instance are still inside; its memory stays",
                          record.name());
    else
        Instance::destroy(old);
    clock.enter(Phase::Serving);
    if (probation.spare != nullptr) {
        auto kept = Buffer::copy_of(state);
        if (kept.ok()) probation.state = kept.take();
        entry.phase = Phase::Probation;
        begin_probation(std::move(probation));
    }
    return {};
}

Result<void> ModuleSystem::swap(Text interface_name, Text name) {
    MutexGuard guard(change_);
    look_after_failed();
    HistoryRecord entry;
    entry.time_ns = arch::now_ns();
    entry.interface.assign(interface_name);
    bool loaded_here = false;
    auto result = [&]() -> Result<void> {
        InterfaceRecord* interface = nullptr;
        {
            MutexGuard registry(registry_);
            interface = interfaces_.find(interface_name);
        }
        if (interface == nullptr)
            return Error(ErrorCode::NotFound,
                         format("no interface {}; `interfaces` lists them", interface_name).text());
        if (interface->primary_record != nullptr)
            entry.from = name_with_version(interface->primary_record->current->info());
        entry.to = FixedText<46>(name);
        ModuleRecord* record = find_record(name);
        if (record == nullptr) {
            auto loaded = load_record(name, Link::Dynamic, entry.phase);
            if (!loaded.ok()) {
                if (loaded.error().code() == ErrorCode::NotFound)
                    return Error(ErrorCode::NotFound, format("no module and no file {}", name).text());
                return loaded.error();
            }
            record = loaded.value();
            loaded_here = true;
        }
        if (record->current == nullptr || record->state() != ModuleState::Running)
            return Error(ErrorCode::InvalidState, format("{} is not running", name).text());
        entry.to = name_with_version(record->current->info());
        auto swapped = swap_primary(*interface, *record, entry);
        if (!swapped.ok() && loaded_here) (void)remove_record(*record).ok();
        return swapped;
    }();
    if (!result.ok()) entry.reason.assign(result.error().sentence());
    const uint64_t id = history_.add(entry);
    for (Probation& probation : probations_) {
        if (!probation.active || probation.history_id != 0) continue;
        probation.history_id = id;
        probation.unload_on_rollback = loaded_here;
    }
    return result;
}

Result<void> ModuleSystem::swap_primary(InterfaceRecord& interface, ModuleRecord& record, HistoryRecord& entry) {
    const SlotTarget* const target = target_of(*record.current, interface.name.text());
    if (target == nullptr)
        return Error(ErrorCode::InvalidArgument,
                     format("{} does not implement {}", record.name(), interface.name.text()).text());
    if (interface.primary_record == &record)
        return Error(ErrorCode::AlreadyExists,
                     format("{} rules {} already", record.name(), interface.name.text()).text());
    if (interface.name == InterfaceTraits<Scheduler>::kId.name)
        return plug_in_scheduler(record, *record.current, entry);
    if (interface.name == InterfaceTraits<Allocator>::kId.name) return plug_in_allocator(record, entry);

    PhaseClock clock(entry);
    clock.enter(Phase::Hold);
    const uint64_t held_ns = arch::now_ns();
    interface.primary->close();
    if (!interface.primary->wait_empty(kHoldDeadlineNs).ok()) {
        interface.primary->open();
        entry.result = TransactionResult::Cancelled;
        return Error(ErrorCode::TimedOut, "a caller inside the interface did not leave in time");
    }
    clock.enter(Phase::Commit);
    {
        MutexGuard guard(registry_);
        interface.primary_record = &record;
        interface.primary->fill(target);
    }
    interface.primary->open();
    entry.pause_ns = arch::now_ns() - held_ns;
    entry.result = TransactionResult::Committed;
    clock.enter(Phase::Serving);
    return {};
}

}  // namespace helix::kernel

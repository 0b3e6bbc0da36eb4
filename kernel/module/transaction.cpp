// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Reload and swap as transactions: prepare, hold, transfer, verify, commit, probation, and back out of any step.

#include "kernel/kernel.hpp"
#include "kernel/module/module_hold.hpp"
#include "kernel/module/module_system.hpp"

#include <utility>

namespace helix::kernel {

namespace {

constexpr uint64_t kHoldDeadlineNs = 2'000'000'000;  // how long a hold waits for calls that are inside
constexpr size_t kStateCapacity = 16 * 1024;

}  // namespace

FixedText<46> ModuleSystem::name_with_version(const ModuleInfo& info) {
    const Version version = info.version();
    return format<46>("{} {}.{}.{}", info.name(), version.major, version.minor, version.patch);
}

Error ModuleSystem::naming(Text name, const Error& error) {
    const Text sentence = error.sentence();
    for (size_t i = 0; i + name.size() <= sentence.size(); ++i)
        if (sentence.substr(i, name.size()) == name) return error;
    return Error(error.code(), format("{}: {}", name, sentence).text());
}

/// An instance that nobody knows yet, disposed of unless it is taken.
class ModuleSystem::Unpublished {
public:
    Unpublished(ModuleSystem& system, Instance* instance) : system_(system), instance_(instance) {}
    ~Unpublished() {
        if (instance_ == nullptr) return;
        if (instance_->state == ModuleState::Running) (void)instance_->call_in_time<&Module::stop>().ok();
        (void)system_.dispose(*instance_);
    }
    Unpublished(const Unpublished&) = delete;
    Unpublished& operator=(const Unpublished&) = delete;

    Instance* operator->() const { return instance_; }
    Instance& operator*() const { return *instance_; }
    explicit operator bool() const { return instance_ != nullptr; }
    Instance* take() { return std::exchange(instance_, nullptr); }

private:
    ModuleSystem& system_;
    Instance* instance_;
};

Result<uint64_t> ModuleSystem::reload(Text name, Text file) {
    MutexGuard guard(change_);
    look_after_failed();
    ModuleRecord* const record = find_record(name);
    if (record == nullptr) return Error(ErrorCode::NotFound, format("no module {} is loaded", name).text());

    HistoryRecord entry;
    PhaseClock clock(kernel_.threads, entry);
    const FixedText<62> previous_file = record->file;
    entry.from = name_with_version(record->current->info());
    const bool was_restarting = record->state() == ModuleState::Restarting;
    const bool left = !was_restarting || record->restarts.emptied || empty_failed(*record, kHoldDeadlineNs);
    if (record->slot_count != 0) entry.interface = record->slots[0]->interface.name;
    auto result = [&]() -> Result<void> {
        change_.assert_held();
        FixedText<62> full_name;
        if (!left)
            return Error(
                ErrorCode::TimedOut,
                format("{} did not leave the failed {}", ModuleHold::describe_caller(*record->current), name).text());
        const Bytes bytes = TRY(find_file(file.empty() ? record->file.text() : file, full_name));
        auto created = Image::create(kernel_.memory, bytes, full_name.text());
        if (!created.ok()) return naming(full_name.text(), created.error());
        Image* const image = created.value();
        entry.to = name_with_version(image->info());
        Result<void> replaced;
        if (image->info().name() == record->name())
            replaced = reload_in_place(*record, *image, clock);
        else
            replaced = Error(ErrorCode::InvalidArgument,
                             format("{} holds {}, not {}; use swap to put another module in its place",
                                    full_name.text(), image->info().name(), record->name())
                                 .text());
        image->release();
        if (!replaced.ok()) return naming(name, replaced.error());
        record->file = full_name;
        record->restarts.reset();
        if (was_restarting) announce_decided(*record);
        return replaced;
    }();
    if (Probation* const begun = store(clock, result)) begun->previous_file = previous_file;
    TRY(result);
    return entry.id;
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

class ModuleSystem::SlotTrimming {
public:
    SlotTrimming(ModuleSystem& system, ModuleRecord& record) : system_(system), record_(record) {}
    ~SlotTrimming() {
        system_.change_.assert_held();
        system_.trim_slots(record_);
    }
    SlotTrimming(const SlotTrimming&) = delete;
    SlotTrimming& operator=(const SlotTrimming&) = delete;

private:
    ModuleSystem& system_;
    ModuleRecord& record_;
};

Result<void> ModuleSystem::check_reloadable(ModuleRecord& record, const Image& image) {
    if (record.state() == ModuleState::Running && !has(record.current->info().flags(), ModuleFlags::HotReloadable))
        return Error(ErrorCode::PermissionDenied, format("{} does not allow hot reload", record.name()).text());
    TRY(check_not_standing_by(record));
    TRY(check_dependents(record, image.info()));
    for (uint32_t i = 0; i < record.slot_count; ++i) {
        if (!record.slots[i]->is_linked()) continue;
        const InterfaceRecord& interface = record.slots[i]->interface;
        const Text name = interface.name.text();
        const InterfaceEntry* const entry = find_interface(image.descriptor(), name);
        if (entry == nullptr) {  // whoever holds a handle speaks against that below
            if (!is_plugged_by_kernel(name) || interface.primary_record != &record) continue;
            return Error(ErrorCode::Incompatible,
                         format("{} rules {}, which the new one does not implement; swap another module in first",
                                record.name(), name)
                             .text());
        }
        if (entry->major != interface.major)
            return versions_differ(image.descriptor(), *entry, format<62>("the running {}", record.name()).text(),
                                   Relation::Implements, *find_interface(*record.current->descriptor, name));
    }
    MutexGuard guard(registry_);
    return check_holders(record, image.descriptor());
}

Result<void> ModuleSystem::reload_in_place(ModuleRecord& record, Image& image, PhaseClock& clock) {
    HistoryRecord& entry = clock.entry();
    const bool was_running = record.state() == ModuleState::Running;

    // Prepare: everything that can fail without anybody noticing.
    TRY(check_reloadable(record, image));
    InterfaceRecord* ruled = ruled_by(record);
    if (ruled != nullptr && find_interface(image.descriptor(), ruled->name.text()) == nullptr) ruled = nullptr;
    const bool rules_heap = ruled != nullptr && ruled->name == InterfaceTraits<Allocator>::kId.name;
    if (rules_heap && ruled->primary_record == &record)
        return Error(ErrorCode::NotSupported, "the ruling allocator is replaced by swap, not by reload");
    const SlotTrimming trimming(*this, record);
    Unpublished candidate(*this, TRY(make_candidate(record, image, clock)));
    TRY(add_slots(record, image.descriptor()));
    if (ruled != nullptr && !rules_heap) {
        entry.interface = ruled->name;
        TRY(candidate->call_in_time<&Module::start>());
        candidate->become(ModuleState::Running);
        return plug_in_scheduler(record, *candidate.take(), clock);
    }
    Unpublished spare(*this, was_running ? make_spare(record) : nullptr);
    Buffer buffer = TRY(Buffer::create(kStateCapacity));

    clock.enter(Phase::Hold);
    ModuleHold hold(record);
    const auto give_up = [&](TransactionResult result, const Error& error) -> Error {
        hold.release();
        clock.stop();
        entry.result = result;
        return error;
    };
    if (auto held = hold.acquire(kHoldDeadlineNs); !held.ok())
        return give_up(TransactionResult::Cancelled,
                       Error(held.error().code(), format("{} within {} s; the reload was cancelled",
                                                         held.error().sentence(), kHoldDeadlineNs / 1'000'000'000)
                                                      .text()));

    clock.enter(Phase::Transfer);
    Instance& old = *record.current;
    Bytes state;
    auto moved = was_running ? transfer_state(old, *candidate, buffer, state) : Result<void>();
    entry.state_bytes = state.size();
    if (moved.ok()) moved = candidate->call_in_time<&Module::start>();
    if (moved.ok()) {
        candidate->become(ModuleState::Running);
        clock.enter(Phase::Verify);
        moved = check_health(*candidate);
    }
    if (!moved.ok())
        return give_up(old.is_ended() ? TransactionResult::Cancelled : TransactionResult::RolledBack, moved.error());

    clock.enter(Phase::Commit);
    {
        MutexGuard guard(registry_);
        moved = check_holders(record, image.descriptor());  // more may have been bound meanwhile
        if (moved.ok()) {
            __atomic_store_n(&record.current, candidate.take(), __ATOMIC_RELEASE);
            ++record.generation;
            refill_slots(record, *record.current);
        }
    }
    if (!moved.ok()) return give_up(TransactionResult::RolledBack, moved.error());
    hold.release();
    clock.stop();
    entry.result = TransactionResult::Committed;
    record.saved = Buffer();
    if (has(image.info().flags(), ModuleFlags::RestoresStale))
        if (auto saved = Buffer::copy_of(state); saved.ok()) record.saved = saved.take();

    end_probation_of(record);  // of the instance that was replaced
    retire_replaced(old);
    if (rules_heap) let_allocator_rule(record, clock);
    entry.phase = Phase::Serving;
    if (!spare) return {};
    Probation probation;
    probation.record = &record;
    probation.spare = spare.take();
    if (auto kept = Buffer::copy_of(state); kept.ok()) probation.state = kept.take();
    entry.phase = Phase::Probation;
    begin_probation(std::move(probation));
    return {};
}

/// What comes back if the new instance fails on probation: the previous image, initialised. Null, with a word in the
/// log, if there is none.
Instance* ModuleSystem::make_spare(ModuleRecord& record) {
    Unrecorded unrecorded(kernel_.threads);
    auto spare = make_candidate(record, *record.current->image, unrecorded.clock);
    if (spare.ok()) return spare.value();
    kernel_.log.warning("kernel", "{}: no spare for probation: {}", record.name(), spare.error().sentence());
    return nullptr;
}

/// Carries what `from` saves over to `to`; `state` is what it was, in `buffer`. Nobody is inside `from`.
Result<void> ModuleSystem::transfer_state(Instance& from, Instance& to, Buffer& buffer, Bytes& state) {
    StateWriter writer(buffer.mutable_bytes(), from.info().state_schema());
    TRY(from.call_in_time<&Module::save_state>(writer));
    if (writer.empty()) return {};
    state = TRY(writer.finish());
    StateReader reader = TRY(StateReader::open(state));
    if (reader.schema() > to.info().state_schema())
        return Error(ErrorCode::Incompatible, format("{} reads state up to schema {}, the saved is {}", to.name(),
                                                     to.info().state_schema(), reader.schema())
                                                  .text());
    return to.call_in_time<&Module::restore_state>(reader, Reason::Reload);
}

Result<void> ModuleSystem::check_health(Instance& candidate) {
    const bool healthy = TRY(candidate.call<&Module::is_healthy>());
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

Result<uint64_t> ModuleSystem::swap(Text interface_name, Text name) {
    MutexGuard guard(change_);
    look_after_failed();
    HistoryRecord entry;
    PhaseClock clock(kernel_.threads, entry);
    entry.interface.assign(interface_name);
    bool loaded_here = false;
    auto result = [&]() -> Result<void> {
        change_.assert_held();
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
            auto loaded = load_record(name, Link::Dynamic, clock);
            if (!loaded.ok()) {
                FixedText<62> full_name;  // what it needs may be what was not found
                if (!find_file(name, full_name).ok())
                    return Error(ErrorCode::NotFound, format("no module and no file {}", name).text());
                return naming(name, loaded.error());
            }
            record = loaded.value();
            loaded_here = true;
        }
        if (record->state() != ModuleState::Running)
            return Error(ErrorCode::InvalidState, format("{} is not running", name).text());
        entry.to = name_with_version(record->current->info());
        auto swapped = swap_primary(*interface, *record, clock);
        if (swapped.ok()) {
            set_choice(*interface, record);
            return swapped;
        }
        swapped = naming(record->name(), swapped.error());
        if (!loaded_here) return swapped;
        const auto removed = remove_record(*record);  // somebody may have bound it by its name meanwhile
        if (removed.ok()) return swapped;
        return Error(swapped.error().code(),
                     format("{}; {}", swapped.error().sentence(), removed.error().sentence()).text());
    }();
    if (Probation* const begun = store(clock, result)) begun->unload_on_rollback = loaded_here;
    TRY(result);
    return entry.id;
}

Result<void> ModuleSystem::swap_primary(InterfaceRecord& interface, ModuleRecord& record, PhaseClock& clock) {
    const SlotTarget* const target = target_of(*record.current, interface.name.text());
    if (target == nullptr)
        return Error(ErrorCode::InvalidArgument,
                     format("{} does not implement {}", record.name(), interface.name.text()).text());
    if (interface.primary_record == &record)
        return Error(ErrorCode::AlreadyExists,
                     format("{} rules {} already", record.name(), interface.name.text()).text());
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

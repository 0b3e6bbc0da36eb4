// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What the transactions have in common, reload (reload.cpp) and swap (swap.cpp): state, health, records of them.

#include "kernel/kernel.hpp"
#include "kernel/module/module_system.hpp"

namespace helix::kernel {

FixedText<46> ModuleSystem::name_with_version(Text name, Version version) {
    return format<46>("{} {}.{}.{}", name, version.major, version.minor, version.patch);
}

Error ModuleSystem::naming(Text name, const Error& error) {
    const Text sentence = error.sentence();
    for (size_t i = 0; i + name.size() <= sentence.size(); ++i)
        if (sentence.substr(i, name.size()) == name) return error;
    return Error(error.code(), format("{}: {}", name, sentence).text());
}

/// Completes the record of a transaction and puts it into the history. A probation that it began knows its number. One
/// that did not begin, since there is no file or interface of that name, leaves none: that was a slip of whoever typed.
Probation* ModuleSystem::store(PhaseClock& clock, const Result<void>& result) {
    if (!result.ok() && result.error().code() == ErrorCode::NotFound && !clock.has_begun()) return nullptr;
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
    const bool parked = from.parks == Parked::Again;
    TRY(from.call_in_time<&Module::save_state>(writer));
    if (parked && from.parks != Parked::Again)
        return Error(ErrorCode::TimedOut, "its own threads came to no wait while its state was saved");
    if (writer.empty()) return {};
    state = TRY(seal == Seal::Now ? writer.finish() : writer.finish_unsealed());
    return {};
}

/// `state`, if there is any, for an instance that takes the place of the one that saved it. Schemas of different
/// formats, `format_name` and that of `to`, say nothing of each other.
Result<void> ModuleSystem::restore_state_of(Instance& to, Bytes state, Text format_name, Seal seal) {
    if (state.empty()) return {};
    StateReader reader = TRY(seal == Seal::Now ? StateReader::open(state) : StateReader::open_unsealed(state));
    if (format_name == to.info().state_format() && reader.schema() > to.info().state_schema())
        return Error(ErrorCode::Incompatible, format("{} reads state up to schema {}, the saved is {}", to.name(),
                                                     to.info().state_schema(), reader.schema())
                                                  .text());
    return to.call_in_time<&Module::restore_state>(reader, Reason::Reload);
}

Result<void> ModuleSystem::check_health(Instance& candidate) {
    return judge_health(candidate, candidate.call_in_time<&Module::is_healthy>());
}

Result<void> ModuleSystem::judge_health(const Instance& candidate, const Result<bool>& answer) {
    if (!answer.ok()) return answer.error();
    if (answer.value()) return {};
    return Error(ErrorCode::InvalidState, format("the new {} says that it is not healthy", candidate.name()).text());
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
    kernel_.threads.unpark(old);
    (void)dispose(old);
}

}  // namespace helix::kernel

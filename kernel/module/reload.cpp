// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Reload: new instances in the places of one module or of several, as one transaction: all of them serve, or none.

#include "kernel/kernel.hpp"
#include "kernel/module/module_system.hpp"
#include "kernel/module/resolver.hpp"

#include <utility>

namespace helix::kernel {

namespace {

/// What was saved gets the checksum that it did without in the hold.
void seal(Replacement& replacement) {
    const MutableBytes room = replacement.buffer.mutable_bytes();
    const size_t size = replacement.state.size();
    if (size != 0 && size + StateWriter::kSealSize <= room.size()) replacement.state = StateWriter::seal(room, size);
}

}  // namespace

/// The transaction. What it did is undone in the end, last things first, unless it was committed.
class ModuleSystem::Replacing {
public:
    Replacing(ModuleSystem& system, Replacements& group, PhaseClock& clock)
        : system_(system), group_(group), clock_(clock) {}
    ~Replacing();
    Replacing(const Replacing&) = delete;
    Replacing& operator=(const Replacing&) = delete;

    Result<void> run() { return execute() ? Result<void>() : Result<void>(error_); }

private:
    /// While it lives, modules are looked at as if the transaction were done.
    class Changing {
    public:
        Changing(ModuleSystem& system, const Replacements& group) : system_(system) {
            system_.change_.assert_held();
            system_.changing_ = &group;
        }
        ~Changing() {
            system_.change_.assert_held();
            system_.changing_ = nullptr;
        }
        Changing(const Changing&) = delete;
        Changing& operator=(const Changing&) = delete;

    private:
        ModuleSystem& system_;
    };

    bool execute();
    bool read(Replacement& replacement);
    void sort();
    bool needs(const Replacement& one, const Replacement& other);
    bool check();
    bool make_candidates();
    void make_spares();
    bool hold();
    bool transfer();
    bool commit();
    void finish();
    void mark_leaving(bool leaves);
    // False means that it failed, with this.
    bool fail(const Error& error);
    bool well(const Replacement& about, const Result<void>& result);

    ModuleSystem& system_;
    Replacements& group_;
    PhaseClock& clock_;
    Error error_ = ErrorCode::InvalidState;
    InterfaceRecord* ruled_ = nullptr;  // by the one module that is replaced
    bool was_running_ = true;
    bool marked_ = false;
    bool committed_ = false;
};

ModuleSystem::Replacing::~Replacing() {
    system_.change_.assert_held();
    for (size_t i = group_.size(); i-- > 0 && !committed_;) {
        for (Instance** const made : {&group_[i].candidate, &group_[i].spare}) {
            Instance* const instance = std::exchange(*made, nullptr);
            if (instance == nullptr) continue;
            if (instance->state == ModuleState::Running) (void)instance->call_in_time<&Module::stop>().ok();
            (void)system_.dispose(*instance);
        }
    }
    if (marked_ && !committed_) mark_leaving(false);
    for (Replacement& replacement : group_) {
        if (replacement.image != nullptr) replacement.image->release();
        replacement.image = nullptr;
    }
}

bool ModuleSystem::Replacing::fail(const Error& error) {
    error_ = error;
    return false;
}

/// An error is about that module, and says so.
bool ModuleSystem::Replacing::well(const Replacement& about, const Result<void>& result) {
    return result.ok() || fail(naming(about.record.name(), result.error()));
}

bool ModuleSystem::Replacing::execute() {
    system_.change_.assert_held();
    Replacement& first = group_[0];
    was_running_ = first.record.state() == ModuleState::Running;
    if (first.record.state() == ModuleState::Restarting && !first.record.restarts.emptied &&
        !system_.empty_failed(first.record, kHoldDeadlineNs))
        return fail(
            Error(ErrorCode::TimedOut, format("{} did not leave the failed {}",
                                              ModuleHold::describe_caller(*first.record.current), first.record.name())
                                           .text()));
    // Prepare: everything that can fail without anybody noticing.
    for (Replacement& replacement : group_)
        if (!read(replacement)) return false;
    sort();
    if (!check() || !make_candidates()) return false;
    if (ruled_ != nullptr && ruled_->name == InterfaceTraits<Scheduler>::kId.name) {
        first.interface = ruled_->name;
        if (!well(first, first.candidate->call_in_time<&Module::start>())) return false;
        first.candidate->become(ModuleState::Running);
        mark_leaving(false);
        first.candidate->replaces = false;
        committed_ = true;  // or undone by the swap itself
        if (!well(first, system_.plug_in_scheduler(first.record, *std::exchange(first.candidate, nullptr), clock_)))
            return false;
        std::swap(first.record.file, first.file);
        return true;
    }
    if (was_running_) make_spares();
    for (Replacement& replacement : group_) {
        auto buffer = Buffer::create(kStateCapacity);
        if (!buffer.ok()) return well(replacement, buffer.error());
        replacement.buffer = buffer.take();
    }
    // From here on others notice.
    HistoryRecord& entry = clock_.entry();
    clock_.enter(Phase::Hold);
    entry.result = TransactionResult::Cancelled;
    bool done = hold();
    if (done) {
        entry.result = TransactionResult::RolledBack;
        done = transfer();
        for (const Replacement& replacement : group_)
            if (replacement.old->is_ended()) entry.result = TransactionResult::Cancelled;
    }
    done = done && commit();
    for (size_t i = 0; i < group_.size(); ++i) group_[i].hold.release();
    clock_.stop();
    const uint64_t saved_ns = arch::now_ns();  // read here, so that the hold is not longer for it
    for (Replacement& replacement : group_) {
        seal(replacement);
        replacement.saved_ns = saved_ns;
    }
    if (!done) return false;
    system_.kernel_.threads.cpus().wait_grace_period();  // no bounded call is left in those who served
    entry.result = TransactionResult::Committed;
    committed_ = true;
    finish();
    return true;
}

bool ModuleSystem::Replacing::read(Replacement& replacement) {
    ModuleRecord& record = replacement.record;
    const auto bytes =
        system_.find_file(replacement.wanted.empty() ? record.file.text() : replacement.wanted, replacement.file);
    if (!bytes.ok()) return fail(bytes.error());
    if (was_running_ && replacement.file == record.file.text()) {  // files do not change, and code can be shared
        replacement.image = record.current->image;
        replacement.image->retain();
    } else {
        auto created = Image::create(system_.kernel_.memory, bytes.value(), replacement.file.text());
        if (!created.ok()) return fail(naming(replacement.file.text(), created.error()));
        replacement.image = created.value();
    }
    replacement.to = name_with_version(record.name(), replacement.image->info().version());
    if (const auto same = check_same_module(record, *replacement.image, replacement.file.text()); !same.ok())
        return fail(same.error());
    if (group_.size() > 1 && record.state() != ModuleState::Running)
        return fail(Error(ErrorCode::InvalidState,
                          format("{} is {}; reload it alone first", record.name(), describe(record.state())).text()));
    return true;
}

/// Providers first, otherwise as they were asked for. In a circle somebody begins.
void ModuleSystem::Replacing::sort() {
    for (size_t placed = 0; placed < group_.size(); ++placed) {
        size_t next = placed;
        for (size_t i = placed; i < group_.size(); ++i) {
            bool waits = false;
            for (size_t k = placed; k < group_.size(); ++k) waits |= k != i && needs(group_[i], group_[k]);
            if (waits) continue;
            next = i;
            break;
        }
        for (; next > placed; --next) group_.exchange(next, next - 1);
    }
}

/// By what the new version of `one` says, or by a handle that its old one has.
bool ModuleSystem::Replacing::needs(const Replacement& one, const Replacement& other) {
    const ModuleInfo& info = other.image->info();
    const ResolverNode node = {other.record.name(), info.version(), &info};
    const auto is_met = [&](const auto& list) {
        for (size_t i = 0; i < list.size(); ++i) {
            const auto requirement = Requirement::parse(list[i]);
            if (requirement.ok() && provider_of({&node, 1}, requirement.value()).ok()) return true;
        }
        return false;
    };
    if (is_met(one.image->info().dependencies()) || is_met(one.image->info().optional())) return true;
    bool found = false;
    MutexGuard guard(system_.registry_);
    system_.interfaces_.for_each_holding([&](const Instance& by, const Slot& slot) {
        const ModuleRecord* const serves = slot.record != nullptr ? slot.record : slot.interface.primary_record;
        found |= &by == one.record.current && serves == &other.record;
    });
    return found;
}

bool ModuleSystem::Replacing::check() {
    system_.change_.assert_held();
    const Changing changing(system_, group_);
    mark_leaving(true);
    for (const Replacement& replacement : group_) {
        ModuleRecord& record = replacement.record;
        if (!well(replacement, system_.check_reloadable(record, *replacement.image))) return false;
        InterfaceRecord* const ruled = system_.ruled_by(record);
        if (ruled == nullptr || find_interface(replacement.image->descriptor(), ruled->name.text()) == nullptr)
            continue;
        if (group_.size() > 1)
            return fail(Error(ErrorCode::NotSupported,
                              format("{} rules {}; reload it alone", record.name(), ruled->name).text()));
        if (ruled->name == InterfaceTraits<Allocator>::kId.name && ruled->primary_record == &record)
            return fail(
                Error(ErrorCode::NotSupported,
                      format("{}: the ruling allocator is replaced by swap, not by reload", record.name()).text()));
        ruled_ = ruled;
    }
    return well(group_[0], system_.check_dependents());
}

/// What is to be published is there, for the new ones alone, before the first of them is initialised.
bool ModuleSystem::Replacing::make_candidates() {
    system_.change_.assert_held();
    const Changing changing(system_, group_);
    for (const Replacement& replacement : group_)
        if (!well(replacement, system_.add_slots(replacement.record, replacement.image->descriptor()))) return false;
    for (size_t i = 0; i < group_.size(); ++i) {
        auto made = system_.make_candidate(group_[i].record, *group_[i].image, clock_);
        if (!made.ok()) return well(group_[i], made.error());
        group_[i].candidate = made.value();
    }
    // Now it is known which handles the new ones hold.
    MutexGuard guard(system_.registry_);
    for (const Replacement& replacement : group_)
        if (!well(replacement, system_.check_holders(replacement.record, replacement.image->descriptor())))
            return false;
    return true;
}

/// What comes back if a new instance fails on probation: the previous images, initialised. Of all or, with a word in
/// the log, of none.
void ModuleSystem::Replacing::make_spares() {
    system_.change_.assert_held();
    for (size_t i = 0; i < group_.size(); ++i) {
        Unrecorded unrecorded(system_.kernel_.threads);
        ModuleRecord& record = group_[i].record;
        if (group_[i].image == record.current->image) group_[i].image->keep_mappings(Image::KeepsMappings::Yes);
        auto spare = system_.make_candidate(record, *record.current->image, unrecorded.clock);
        if (spare.ok()) {
            group_[i].spare = spare.value();
            continue;
        }
        system_.kernel_.log.warning("kernel", "{}: no spare for probation: {}", record.name(),
                                    spare.error().sentence());
        while (i-- > 0) (void)system_.dispose(*std::exchange(group_[i].spare, nullptr));
        return;
    }
    MutexGuard guard(system_.registry_);
    for (const Replacement& replacement : group_) replacement.spare->leaves = true;  // for now it needs nothing
}

/// Dependents before providers, so that their calls come to an end. Errors: TimedOut, and who did not leave.
bool ModuleSystem::Replacing::hold() {
    const uint64_t deadline_ns = deadline_after(kHoldDeadlineNs);
    for (Replacement& replacement : group_) replacement.old = replacement.record.current;
    const auto succeeded = [&](const Result<void>& held) {
        return held.ok() ||
               fail(Error(held.error().code(), format("{} within {} s; the reload was cancelled",
                                                      held.error().sentence(), kHoldDeadlineNs / 1'000'000'000)
                                                   .text()));
    };
    for (size_t i = group_.size(); i-- > 0;) {
        if (!succeeded(group_[i].hold.acquire_until(deadline_ns))) return false;
    }
    for (size_t i = group_.size(); i-- > 0 && was_running_;)
        if (!succeeded(group_[i].hold.park_threads(deadline_ns))) return false;
    return true;
}

bool ModuleSystem::Replacing::transfer() {
    system_.change_.assert_held();
    clock_.enter(Phase::Transfer);
    for (size_t i = 0; i < group_.size() && was_running_; ++i)
        if (!well(group_[i], save_state_of(*group_[i].old, group_[i].buffer, group_[i].state, Seal::Later)))
            return false;
    for (size_t i = 0; i < group_.size(); ++i) {
        Instance& candidate = *group_[i].candidate;
        if (!well(group_[i],
                  system_.restore_state_of(candidate, group_[i].state, candidate.info().state_format(), Seal::Later)))
            return false;
        if (!well(group_[i], candidate.call_in_time<&Module::start>())) return false;
        candidate.become(ModuleState::Running);
    }
    clock_.enter(Phase::Verify);
    for (const Replacement& replacement : group_)
        if (!well(replacement, system_.check_health(*replacement.candidate))) return false;
    return true;
}

bool ModuleSystem::Replacing::commit() {
    system_.change_.assert_held();
    clock_.enter(Phase::Commit);
    const Changing changing(system_, group_);
    MutexGuard guard(system_.registry_);
    for (const Replacement& replacement : group_)  // more may have been bound meanwhile
        if (!well(replacement, system_.check_holders(replacement.record, replacement.image->descriptor())))
            return false;
    for (size_t i = 0; i < group_.size(); ++i) {
        ModuleRecord& record = group_[i].record;
        Instance* const candidate = std::exchange(group_[i].candidate, nullptr);
        candidate->replaces = false;
        __atomic_store_n(&record.current, candidate, __ATOMIC_RELEASE);
        ++record.generation;
    }
    for (size_t i = 0; i < group_.size(); ++i)
        system_.refill_slots(group_[i].record, *group_[i].record.current, Grace::Later);
    for (const Replacement& replacement : group_)
        if (replacement.spare != nullptr) replacement.spare->leaves = false;
    return true;
}

/// Everybody serves. What was before goes, and what may come back is kept.
void ModuleSystem::Replacing::finish() {
    system_.change_.assert_held();
    bool spares = true;
    for (Replacement& replacement : group_) {
        ModuleRecord& record = replacement.record;
        std::swap(record.file, replacement.file);
        system_.keep_reloaded(replacement, *record.current);
        system_.end_probation_of(record);  // of the instance that was replaced
        spares &= replacement.spare != nullptr;
        // As much as it needs.
        if (auto copy = Buffer::copy_of(replacement.state); copy.ok()) {
            replacement.buffer = copy.take();
            replacement.state = replacement.buffer.bytes();
        }
    }
    for (size_t i = group_.size(); i-- > 0;) system_.retire_replaced(*std::exchange(group_[i].old, nullptr));
    if (!was_running_) system_.plan_looks();
    if (ruled_ != nullptr) system_.let_allocator_rule(group_[0].record, clock_);
    clock_.entry().phase = spares ? Phase::Probation : Phase::Serving;
}

/// Whether the instances that are to be replaced, and the spares of probations that end with that, hold handles that
/// count.
void ModuleSystem::Replacing::mark_leaving(bool leaves) {
    system_.change_.assert_held();
    marked_ = true;
    MutexGuard guard(system_.registry_);
    for (const Replacement& replacement : group_) {
        replacement.record.current->leaves = leaves;
        for (const Probation& probation : system_.probations_) {
            if (!probation.active || probation.group.find(replacement.record) == nullptr) continue;
            for (const Replacement& member : probation.group) member.spare->leaves = leaves;
        }
    }
}

Result<void> ModuleSystem::check_same_module(const ModuleRecord& record, const Image& image, Text file) {
    const Text name = record.current->info().name();
    if (image.info().name() == name) return {};
    return Error(ErrorCode::InvalidArgument, format("{} holds {}, not {}; use swap to put another module in its place",
                                                    file, image.info().name(), name)
                                                 .text());
}

Result<uint64_t> ModuleSystem::reload(Span<const Wanted> wanted) {
    MutexGuard guard(change_);
    look_after_failed();
    return replace(wanted, {});
}

Result<uint64_t> ModuleSystem::replace(Span<const Wanted> wanted, const TrialCounts& trial) {
    if (wanted.empty() || wanted.size() > Replacements::kMaximum)
        return Error(ErrorCode::OutOfRange, format("up to {} modules at once", Replacements::kMaximum).text());
    Replacements group;
    if (!group.reserve(kernel_.heap, wanted.size()))
        return Error(ErrorCode::OutOfMemory, format("{}: out of memory", wanted[0].name).text());
    for (const Wanted& each : wanted) {
        ModuleRecord* const record = find_record(each.name);
        if (record == nullptr || group.find(*record) != nullptr)
            return Error(record == nullptr ? ErrorCode::NotFound : ErrorCode::InvalidArgument,
                         format("{}{}{}", record == nullptr ? Text("no module ") : Text(), each.name,
                                record == nullptr ? Text(" is loaded") : Text(" is named twice"))
                             .text());
        group.add(*record, each.file);
        Replacement& added = group.end()[-1];
        added.from = name_with_version(*record->current);
        if (record->slot_count != 0) added.interface = record->slots[0]->interface.name;
    }
    HistoryRecord entry;
    entry.trial = trial;
    PhaseClock clock(kernel_.threads, entry);
    ModuleRecord& first = group[0].record;
    const bool was_restarting = first.state() == ModuleState::Restarting;
    const auto result = [&]() -> Result<void> {
        change_.assert_held();
        for (Replacement& replacement : group) replacement.record.changes = true;
        Replacing transaction(*this, group, clock);
        return transaction.run();
    }();
    if (result.ok()) {
        for (Replacement& replacement : group) replacement.record.restarts.reset();
        if (was_restarting) announce_decided(first);
    }
    const uint64_t id = store(clock, result, group);
    ModuleRecord* records[Replacements::kMaximum];
    size_t count = 0;
    for (Replacement& replacement : group) {
        replacement.record.changes = false;
        records[count++] = &replacement.record;
    }
    if (result.ok() && group[0].spare != nullptr) {
        Probation probation;
        probation.history_id = id;
        probation.group = std::move(group);
        begin_probation(std::move(probation));
    }
    while (count-- > 0) {
        trim_slots(*records[count]);
        give_back_mappings(*records[count]);
    }
    TRY(result);
    return id;
}

/// Completes the records of a reload, one for each module, and puts them into the history. The number of the first;
/// a probation that began knows it.
uint64_t ModuleSystem::store(PhaseClock& clock, const Result<void>& result, const Replacements& group) {
    HistoryRecord& entry = clock.entry();
    uint64_t first = 0;
    for (const Replacement& replacement : group) {
        entry.interface = replacement.interface;
        entry.from = replacement.from;
        entry.to = replacement.to;
        if (group.size() > 1 || !replacement.state.empty()) entry.state_bytes = replacement.state.size();
        if (first == 0) {
            Probation* const begun = store(clock, result);
            if (begun != nullptr) begun->previous_file = replacement.file;
            first = entry.id;
        } else {
            entry.group = first;
            note_pause(entry);
            entry.id = history_.add(entry);
        }
    }
    if (group.size() > 1) history_.amend(first, [&](HistoryRecord& record) { record.group = first; });
    return first;
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Swapping the scheduler: the new policy is mirrored while the old one rules, and the swap is a flip under the locks
// of all CPUs. The old policy stays mirrored through probation, so that going back is the same flip.

#include "kernel/kernel.hpp"
#include "kernel/module/module_system.hpp"

namespace helix::kernel {

namespace {
constexpr uint64_t kRulingWaitNs = 2'000'000'000;  // how long a call into the ruling policy may take
constexpr size_t kStateCapacity = 4096;

/// Fetches what the hold will use: code and data of both policies, and the kernel's own way of carrying state.
/// Right before the hold, where waiting for memory holds nobody up.
void warm_up(const Instance* old, const Instance& candidate, MutableBytes buffer) {
    if (old != nullptr && old->mapping != nullptr) old->mapping->touch();
    candidate.mapping->touch();
    StateWriter writer(buffer, 0);
    const uint64_t numbers[] = {0, UINT64_MAX};
    if (!writer.put("warm up", Span<const uint64_t>(numbers)).ok()) return;
    if (const auto state = writer.finish_unsealed(); state.ok()) (void)StateReader::open_unsealed(state.value()).ok();
}
}  // namespace

/// Under all CPU locks: state from `old` to `candidate`, and the checks that decide. Nothing here may allocate.
Result<void> ModuleSystem::transfer_and_verify_scheduler(Instance* old, Instance& candidate, MutableBytes buffer,
                                                         PhaseClock& clock) {
    clock.enter(Phase::Transfer);
    if (old != nullptr && !old->is_ended()) {
        StateWriter writer(buffer, old->info().state_schema());
        auto saved = old->call<&Module::save_state>(writer);
        // A policy that fails while it saves is lost; the candidate then begins without its state.
        if (!saved.ok() && !old->is_ended()) return saved;
        if (saved.ok() && !writer.empty()) {
            const Bytes state = TRY(writer.finish_unsealed());
            clock.entry().state_bytes = state.size();
            StateReader reader = TRY(StateReader::open_unsealed(state));
            if (old->name() == candidate.name() && reader.schema() > candidate.info().state_schema())
                return Error(ErrorCode::Incompatible,
                             format("{} reads state up to schema {}, the saved is {}", candidate.name(),
                                    candidate.info().state_schema(), reader.schema())
                                 .text());
            TRY(candidate.call<&Module::restore_state>(reader, Reason::Reload));
        }
    }
    clock.enter(Phase::Verify);
    return verify_scheduler(candidate);
}

/// Under all CPU locks: whether the mirrored policy is well and holds as many threads as are runnable, on each CPU.
Result<void> ModuleSystem::verify_scheduler(Instance& candidate) {
    PolicySlot& policy = kernel_.threads.policy();
    if (policy.mirror_failed()) return candidate.failed_error();
    TRY(check_health(candidate));
    for (CpuId id = 0; id < kernel_.threads.cpu_count(); ++id) {
        Cpu& cpu = kernel_.threads.cpu(id);
        cpu.lock.assert_held();
        const SchedulerStatistics statistics = TRY(policy.mirror_statistics(cpu));
        if (statistics.runnable != cpu.ready_count)
            return Error(ErrorCode::InvalidState,
                         format("{} counts {} runnable threads on CPU {}, the kernel {}", candidate.name(),
                                statistics.runnable, id, uint64_t{cpu.ready_count})
                             .text());
    }
    return {};
}

// The old policy's call lock is held only if there is an old policy, which the analysis cannot follow.
Result<void> ModuleSystem::plug_in_scheduler(ModuleRecord& record, Instance& candidate,
                                             PhaseClock& clock) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    PolicySlot& policy = kernel_.threads.policy();
    HistoryRecord& entry = clock.entry();
    const bool in_place = record.current != &candidate;  // a reload: another instance of the ruling module

    // A policy that is still on probation gives up its spare's place to the candidate, and gets it back if that fails.
    Probation* suspended = nullptr;
    for (Probation& probation : probations_)
        if (probation.active && probation.previous_policy != nullptr) suspended = &probation;
    if (suspended != nullptr) policy.drop_mirror();

    // Prepare: the candidate sees every event from here on, and a snapshot of what is runnable.
    clock.enter(Phase::Prepare);
    const auto discard = [&] {
        change_.assert_held();
        policy.drop_mirror();
        if (suspended != nullptr) resume_probation(*suspended);
        if (!in_place) return;
        if (!candidate.is_ended()) (void)candidate.call_in_time<&Module::stop>().ok();
        dispose(candidate);
    };
    const SlotTarget* const target = target_of(candidate, InterfaceTraits<Scheduler>::kId.name);
    auto mirrored = policy.mirror(static_cast<Scheduler*>(target->implementation), &candidate);
    if (!mirrored.ok()) {
        const Error error = candidate.is_ended() ? candidate.failed_error() : mirrored.error();
        discard();
        return error;
    }
    auto buffer = Buffer::create(kStateCapacity);
    auto* const old = static_cast<Instance*>(policy.ruling_instance());
    if (!buffer.ok()) {
        discard();
        return buffer.error();
    }
    if (old != nullptr && !old->record.call_lock.lock_for(kRulingWaitNs)) {
        discard();
        entry.result = TransactionResult::Cancelled;
        return Error(ErrorCode::TimedOut, "a call into the ruling policy did not end in time");
    }
    // The check that grows with the number of threads, one after the other.
    auto sound = policy.self_check_mirror(candidate.name());
    if (sound.ok()) sound = check_health(candidate);
    if (!sound.ok()) {
        if (old != nullptr) old->record.call_lock.unlock();
        clock.enter(Phase::Verify);
        const Error error = candidate.is_ended() ? candidate.failed_error() : sound.error();
        discard();
        return error;
    }

    // Hold, transfer, verify, commit. The registry is locked from the last look at handles to the commit, so that none
    // is bound in between; what the policies are asked meanwhile cannot block.
    warm_up(old, candidate, buffer.value().mutable_bytes());
    Instance* const replaced = record.current;
    ModuleRecord* previous_record = nullptr;
    Result<void> decided;
    {
        MutexGuard guard(registry_);
        if (in_place) decided = check_holders(record, *candidate.descriptor);
        preempt_disable();  // so that the end is read before others run again
        clock.hold_notes();
        clock.enter(Phase::Hold);
        kernel_.threads.lock_all_cpus();
        if (decided.ok())
            decided = transfer_and_verify_scheduler(old, candidate, buffer.value().mutable_bytes(), clock);
        if (decided.ok()) {
            clock.enter(Phase::Commit);
            policy.flip();
        }
        kernel_.threads.unlock_all_cpus();
        clock.stop();
        preempt_enable();
        if (decided.ok()) {
            InterfaceRecord& interface = *interfaces_.find(InterfaceTraits<Scheduler>::kId.name);
            previous_record = interface.primary_record;
            interface.primary_record = &record;
            if (previous_record != nullptr && !in_place) interface.previous = previous_record;
            if (in_place) {
                record.current = &candidate;
                ++record.generation;
                refill_slots(record, candidate);
            } else {
                interface.primary->fill(target);
            }
        }
    }
    if (old != nullptr) old->record.call_lock.unlock();
    if (!decided.ok()) {
        entry.result = TransactionResult::RolledBack;
        discard();
        return decided;
    }
    entry.result = TransactionResult::Committed;
    entry.phase = Phase::Probation;
    if (suspended != nullptr) finish_probation(*suspended);
    if (in_place && replaced != old) retire_replaced(*replaced);  // it had failed, and nobody ruled
    if (old == nullptr || (old->is_ended() && !in_place)) {
        policy.drop_mirror();
        entry.phase = Phase::Serving;
        return {};
    }
    Probation probation;
    probation.record = &record;
    probation.previous_policy = old;
    probation.previous_record = previous_record;
    begin_probation(std::move(probation));
    return {};
}

}  // namespace helix::kernel

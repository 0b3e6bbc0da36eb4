// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Swapping the scheduler: the new policy is mirrored while the old one rules, and the swap is a flip under the locks
// of all CPUs. The old policy stays mirrored through probation, so that going back is the same flip.

#include "kernel/kernel.hpp"
#include "kernel/module/module_system.hpp"

namespace helix::kernel {

namespace {
constexpr uint64_t kCallWaitNs = 2'000'000'000;
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
                                                         HistoryRecord& entry) {
    entry.phase = Phase::Transfer;
    if (old != nullptr && !old->is_ended()) {
        StateWriter writer(buffer, old->info().state_schema());
        auto saved = old->call<&Module::save_state>(writer);
        // A policy that fails while it saves is lost; the candidate then begins without its state.
        if (!saved.ok() && !old->is_ended()) return saved;
        if (saved.ok() && !writer.empty()) {
            const Bytes state = TRY(writer.finish_unsealed());
            entry.state_bytes = state.size();
            StateReader reader = TRY(StateReader::open_unsealed(state));
            if (old->name() == candidate.name() && reader.schema() > candidate.info().state_schema())
                return Error(ErrorCode::Incompatible, "its state schema is older than that of the ruling policy");
            TRY(candidate.call<&Module::restore_state>(reader, Reason::Reload));
        }
    }
    entry.phase = Phase::Verify;
    return verify_scheduler(candidate);
}

/// The checks that cost the same however many threads there are. Under all CPU locks.
Result<void> ModuleSystem::verify_scheduler(Instance& candidate) {
    if (kernel_.threads.policy().mirror_failed()) return candidate.failed_error();
    const bool healthy = TRY(candidate.call<&Module::is_healthy>());
    if (!healthy) return Error(ErrorCode::InvalidState, "the new policy says that it is not healthy");
    for (CpuId id = 0; id < kernel_.threads.cpu_count(); ++id) TRY(compare_runnable(kernel_.threads.cpu(id)));
    return {};
}

/// Whether the mirrored policy holds as many threads as are runnable on `cpu`. Under its lock.
Result<void> ModuleSystem::compare_runnable(Cpu& cpu) {
    const SchedulerStatistics statistics = TRY(kernel_.threads.policy().mirror_statistics(cpu));
    if (statistics.runnable == cpu.ready_count) return {};
    return Error(ErrorCode::InvalidState, "the new policy does not hold the threads that are runnable");
}

/// The check that grows with the number of threads: the policy's walk through its own queues. It is no part of the
/// hold; one CPU at a time cannot switch threads while it lasts.
Result<void> ModuleSystem::self_check_scheduler(Instance& candidate) {
    const bool healthy = TRY(candidate.call<&Module::is_healthy>());
    if (!healthy) return Error(ErrorCode::InvalidState, "the new policy says that it is not healthy");
    for (CpuId id = 0; id < kernel_.threads.cpu_count(); ++id) {
        preempt_disable();
        Cpu& cpu = kernel_.threads.cpu(id);
        cpu.lock.acquire();
        auto consistent = kernel_.threads.policy().mirror_self_check(cpu);
        auto complete = compare_runnable(cpu);
        cpu.lock.release();
        preempt_enable();
        if (candidate.is_ended()) return candidate.failed_error();
        if (!consistent.ok() || !consistent.value()) return Error(ErrorCode::InvalidState, "its self-check failed");
        if (!complete.ok()) return complete;
    }
    return {};
}

// The old policy's call lock is held only if there is an old policy, which the analysis cannot follow.
Result<void> ModuleSystem::plug_in_scheduler(ModuleRecord& record, Instance& candidate,
                                             HistoryRecord& entry) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    PolicySlot& policy = kernel_.threads.policy();
    const uint64_t began_ns = arch::now_ns();
    if (entry.time_ns == 0) entry.time_ns = began_ns;
    const bool in_place = record.current != &candidate;  // a reload: another instance of the ruling module

    // A policy that is still on probation gives up its spare's place to the candidate, and gets it back if that fails.
    Probation* suspended = nullptr;
    for (Probation& probation : probations_)
        if (probation.active && probation.previous_policy != nullptr) suspended = &probation;
    if (suspended != nullptr) policy.drop_mirror();

    // Prepare: the candidate sees every event from here on, and a snapshot of what is runnable.
    entry.phase = Phase::Prepare;
    const auto discard = [&] {
        policy.drop_mirror();
        if (suspended != nullptr) resume_probation(*suspended);
        if (!in_place) return;
        if (!candidate.is_ended()) (void)candidate.call<&Module::stop>().ok();
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
    if (old != nullptr && !old->record.call_lock.lock_for(kCallWaitNs)) {
        discard();
        entry.result = TransactionResult::Cancelled;
        return Error(ErrorCode::TimedOut, "a call into the ruling policy did not end in time");
    }
    const uint64_t checked_from_ns = arch::now_ns();
    auto sound = self_check_scheduler(candidate);
    entry.phase_ns[static_cast<size_t>(Phase::Verify)] = arch::now_ns() - checked_from_ns;
    if (!sound.ok()) {
        if (old != nullptr) old->record.call_lock.unlock();
        entry.phase = Phase::Verify;
        discard();
        return sound;
    }
    entry.prepare_ns = arch::now_ns() - began_ns;
    entry.phase_ns[static_cast<size_t>(Phase::Prepare)] = entry.prepare_ns;

    // Hold, transfer, verify, commit.
    warm_up(old, candidate, buffer.value().mutable_bytes());
    entry.phase = Phase::Hold;
    preempt_disable();  // so that the end is read before others run again
    const uint64_t held_cycles = arch::cycles();
    kernel_.threads.lock_all_cpus();
    auto decided = transfer_and_verify_scheduler(old, candidate, buffer.value().mutable_bytes(), entry);
    if (decided.ok()) policy.flip();
    kernel_.threads.unlock_all_cpus();
    entry.pause_cycles = arch::cycles() - held_cycles;
    preempt_enable();
    entry.pause_ns = kernel_.threads.cycles_to_ns(entry.pause_cycles);
    if (old != nullptr) old->record.call_lock.unlock();
    if (!decided.ok()) {
        entry.result = TransactionResult::RolledBack;
        discard();
        return decided;
    }
    entry.result = TransactionResult::Committed;
    entry.phase = Phase::Probation;
    if (suspended != nullptr) finish_probation(*suspended);

    ModuleRecord* previous_record = nullptr;
    {
        MutexGuard guard(registry_);
        InterfaceRecord& interface = *interfaces_.find(InterfaceTraits<Scheduler>::kId.name);
        previous_record = interface.primary_record;
        interface.primary_record = &record;
        if (in_place) {
            record.current = &candidate;
            ++record.generation;
            refill_slots(record, candidate);
        } else {
            interface.primary->fill(target);
        }
    }
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

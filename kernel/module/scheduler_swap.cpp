// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Swapping the scheduler: the new policy is mirrored while the old one rules, and the swap is a flip under the locks
// of all CPUs. The old policy stays mirrored through probation, so that going back is the same flip.

#include "kernel/kernel.hpp"
#include "kernel/module/module_hold.hpp"
#include "kernel/module/module_system.hpp"

namespace helix::kernel {

/// What the ruling policy passes on goes to `candidate`, which was not told of anything yet: so the one saves while it
/// rules, the other restores while nobody knows it, and no CPU is held up for that.
Result<void> ModuleSystem::carry_scheduler_state(Instance& candidate,
                                                 PhaseClock& clock) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    auto* const old = static_cast<Instance*>(kernel_.threads.policy().ruling_instance());
    if (old == nullptr || old->is_ended()) return {};
    Buffer buffer = TRY(Buffer::create(kStateCapacity));
    Bytes state;
    TRY(lock_calls(old->record));
    const auto saved = save_state_of(*old, buffer, state);
    old->record.call_lock.unlock();
    // A policy that fails while it saves is lost; the candidate then begins without its state.
    if (!saved.ok()) return old->is_ended() ? Result<void>() : saved;
    clock.entry().state_bytes = state.size();
    TRY(lock_calls(candidate.record));
    const auto restored = restore_state_of(candidate, state, old->info().state_format());
    candidate.record.call_lock.unlock();
    return restored;
}

/// Makes `candidate` a policy that could rule: it gets the state of the ruling one, is shown what is runnable, and
/// follows every event from then on. Checked as closely as can be while CPUs go on. An error leaves it mirrored.
Result<void> ModuleSystem::prepare_scheduler(Instance& candidate, PhaseClock& clock) {
    clock.enter(Phase::Transfer);
    const auto prepared = [&]() -> Result<void> {
        change_.assert_held();
        TRY(carry_scheduler_state(candidate, clock));
        const SlotTarget* const target = target_of(candidate, InterfaceTraits<Scheduler>::kId.name);
        TRY(kernel_.threads.policy().mirror(static_cast<Scheduler*>(target->implementation), &candidate));
        const auto checked = check_mirror(candidate);
        if (!checked.ok()) clock.enter(Phase::Verify);
        return checked;
    }();
    if (!prepared.ok() && candidate.is_ended()) return candidate.failed_error();
    return prepared;
}

/// Whether the mirrored policy could rule: each waiting thread is in its queues, one after the other, and all the rest
/// that the hold looks at.
Result<void> ModuleSystem::check_mirror(Instance& candidate) {
    PolicySlot& policy = kernel_.threads.policy();
    TRY(policy.self_check_mirror(candidate.name()));
    TRY(check_health(candidate));
    for (CpuId id = 0; id < kernel_.threads.cpu_count(); ++id) {
        const PreemptionGuard no_preemption;
        Cpu& cpu = kernel_.threads.cpu(id);
        cpu.lock.acquire();
        const auto counted = check_count(candidate, cpu);
        cpu.lock.release();
        TRY(counted);
    }
    return {};
}

/// Whether the mirrored policy holds as many threads as are runnable on `cpu`.
Result<void> ModuleSystem::check_count(const Instance& candidate, Cpu& cpu) {
    const SchedulerStatistics statistics = TRY(kernel_.threads.policy().mirror_statistics(cpu));
    if (statistics.runnable == cpu.ready_count) return {};
    return Error(ErrorCode::InvalidState,
                 format("{} counts {} runnable threads on CPU {}, the kernel {}", candidate.name(), statistics.runnable,
                        cpu.local.cpu, uint64_t{cpu.ready_count})
                     .text());
}

/// Under all CPU locks: whether the mirrored policy may rule. Nothing here may allocate.
Result<void> ModuleSystem::verify_scheduler(Instance& candidate) {
    if (kernel_.threads.policy().mirror_failed()) return candidate.failed_error();
    // Nothing can wait here, so there is no deadline, and no look at the clock.
    TRY(judge_health(candidate, candidate.call<&Module::is_healthy>()));
    for (CpuId id = 0; id < kernel_.threads.cpu_count(); ++id) {
        Cpu& cpu = kernel_.threads.cpu(id);
        cpu.lock.assert_held();
        TRY(check_count(candidate, cpu));
    }
    return {};
}

// The old policy's call lock is held only if there is an old policy, which the analysis cannot follow.
Result<void> ModuleSystem::plug_in_scheduler(ModuleRecord& record, Instance& candidate,
                                             PhaseClock& clock) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    PolicySlot& policy = kernel_.threads.policy();
    const bool in_place = record.current != &candidate;  // a reload: another instance of the ruling module

    // A policy that is still on probation gives up its spare's place to the candidate, and gets it back if that fails.
    Probation* suspended = nullptr;
    for (Probation& probation : probations_)
        if (probation.active && probation.previous_policy != nullptr) suspended = &probation;
    if (suspended != nullptr) policy.drop_mirror();

    end_scheduler_trial("another policy was to rule");
    end_canary("another policy was to rule");

    auto* const old = static_cast<Instance*>(policy.ruling_instance());
    const auto ended = [&]() -> Result<void> {
        change_.assert_held();
        const auto prepared = [&]() -> Result<void> {
            change_.assert_held();
            TRY(prepare_scheduler(candidate, clock));
            return old == nullptr ? Result<void>() : lock_calls(old->record);
        }();
        if (prepared.ok()) return commit_scheduler(record, candidate, old, suspended, clock);
        if (prepared.error().code() == ErrorCode::TimedOut) clock.entry().result = TransactionResult::Cancelled;
        return prepared;
    }();
    if (ended.ok()) return ended;
    policy.drop_mirror();
    if (suspended != nullptr) resume_probation(*suspended);
    if (!in_place) return ended;
    if (!candidate.is_ended()) (void)candidate.call_in_time<&Module::stop>().ok();
    dispose(candidate);
    return ended;
}

/// Hold, verify, commit: `candidate`, which is mirrored, rules instead of `old`, if that is not null; its call lock is
/// held before and not afterwards. `suspended` is a probation that ends with it. An error leaves `candidate` mirrored.
Result<void> ModuleSystem::commit_scheduler(ModuleRecord& record, Instance& candidate, Instance* old,
                                            Probation* suspended, PhaseClock& clock) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    PolicySlot& policy = kernel_.threads.policy();
    HistoryRecord& entry = clock.entry();
    const bool in_place = record.current != &candidate;
    // The registry is locked from the last look at handles to the commit, so that none is bound in between; what the
    // policies are asked meanwhile cannot block.
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
        if (decided.ok()) {
            clock.enter(Phase::Verify);
            decided = verify_scheduler(candidate);
        }
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
            if (in_place) {
                interface.primary_record = &record;
                record.current = &candidate;
                ++record.generation;
                refill_slots(record, candidate);
            } else {
                make_primary(interface, candidate);
            }
        }
    }
    if (old != nullptr) old->record.call_lock.unlock();
    if (!decided.ok()) {
        entry.result = TransactionResult::RolledBack;
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

/// `instance`, which is the current one of its record, is the primary one of `interface`. Registry lock held.
void ModuleSystem::make_primary(InterfaceRecord& interface, Instance& instance) {
    if (interface.primary_record != nullptr) interface.previous = interface.primary_record;
    interface.primary_record = &instance.record;
    interface.primary->fill(target_of(instance, interface.name.text()));
}

}  // namespace helix::kernel

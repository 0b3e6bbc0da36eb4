// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A swap of the scheduler with a canary: the new policy, mirrored as for any swap, rules one CPU before it may rule
// all.
//
// The change lock is held while the canary begins and while it ends, not in between: modules fail and return meanwhile.
// What concerns one of the two policies is refused. The slot needs nothing new of either for a way back: each is told
// of every event on every CPU, whoever rules there.

#include "kernel/kernel.hpp"
#include "kernel/module/module_hold.hpp"
#include "kernel/module/module_system.hpp"

namespace helix::kernel {

Result<void> ModuleSystem::check_no_canary() const {
    if (canary_ == nullptr) return {};
    return Error(ErrorCode::Busy, format("{} rules CPU {} as a canary until it is known whether it may rule all",
                                         canary_->instance->name(), canary_->cpu)
                                      .text());
}

Result<void> ModuleSystem::check_no_policy_on_probation() const {
    for (const Probation& probation : probations_)
        if (probation.active && probation.previous_policy != nullptr)
            return Error(ErrorCode::Busy, format("{} stands by for {}, which is on probation",
                                                 probation.previous_policy->name(), probation.record->name())
                                              .text());
    return {};
}

/// What speaks against any canary, before something is loaded for it.
Result<void> ModuleSystem::check_canary(const InterfaceRecord& interface, const CanaryTerms& terms) const {
    if (interface.name != InterfaceTraits<Scheduler>::kId.name)
        return Error(ErrorCode::NotSupported, "only a scheduler can rule one CPU first");
    if (interface.primary_record == nullptr || kernel_.threads.policy().ruling_failed())
        return Error(ErrorCode::InvalidState, format("nobody rules {}", interface.name.text()).text());
    if (!kernel_.threads.cpus().is_online(terms.cpu))
        return Error(ErrorCode::InvalidState, format("CPU {} is not online", terms.cpu).text());
    return check_no_policy_on_probation();
}

/// From here on the candidate rules its CPU, or, if the other policy failed in this moment, all of them. An error
/// leaves nothing mirrored.
Result<void> ModuleSystem::begin_canary(Swapping& swapping, const CanaryTerms& terms, Canary& canary) {
    PolicySlot& policy = kernel_.threads.policy();
    TRY(check_implementor(*swapping.interface, *swapping.record));
    end_scheduler_trial("another policy was to rule");
    Instance& candidate = *swapping.record->current;
    canary.instance = &candidate;
    canary.ruling = static_cast<Instance*>(policy.ruling_instance());
    canary.cpu = terms.cpu;
    canary.ended = trials_ended();
    auto begun = prepare_scheduler(candidate, swapping.clock);
    if (!begun.ok()) {
        if (begun.error().code() == ErrorCode::TimedOut) swapping.entry.result = TransactionResult::Cancelled;
        policy.drop_mirror();
        return begun;
    }
    // Whoever takes the CPU offline looks here after it has looked who rules there.
    canary_ = &canary;
    __atomic_store_n(&canary_cpu_, terms.cpu, __ATOMIC_SEQ_CST);
    policy.stand_by();
    swapping.clock.enter(Phase::Canary);
    {
        const PreemptionGuard no_preemption;
        Cpu& cpu = kernel_.threads.cpu(terms.cpu);
        cpu.lock.acquire();
        if (cpu.leaving)
            begun = Error(ErrorCode::InvalidState, "its CPU goes offline");
        else if (policy.mirror_failed())
            begun = candidate.failed_error();
        else
            begun = check_count(candidate, cpu);
        if (begun.ok()) policy.begin_canary(cpu);
        cpu.lock.release();
    }
    if (!begun.ok()) end_canary(begun.error().sentence());
    return canary.took_over ? Result<void>() : begun;
}

void ModuleSystem::forget_canary() {
    canary_ = nullptr;
    __atomic_store_n(&canary_cpu_, kNoCpu, __ATOMIC_SEQ_CST);
    announce_trial_over();
}

/// The canary, if there is one, does not come to rule; unless the other policy failed, and it does already.
void ModuleSystem::end_canary(Text why) {
    if (canary_ == nullptr) return;
    PolicySlot& policy = kernel_.threads.policy();
    policy.drop_mirror();
    // From here on the slot changes no more by itself.
    if (policy.ruling_instance() == canary_->instance) return let_canary_take_over();
    canary_->why.assign(why);
    forget_canary();
}

/// It failed, on its CPU or in the mirror of another.
void ModuleSystem::end_failed_canary(Text why) {
    const Instance& instance = *canary_->instance;
    PolicySlot& policy = kernel_.threads.policy();
    policy.replace_failed();  // the supervisor mostly did, at once
    canary_->cause = instance.note.cause;
    canary_->evict_ns = kernel_.threads.cycles_to_ns(policy.returned_cycles() - instance.failed_cycles);
    kernel_.log.warning("supervisor", "{} rules again where {} did", canary_->ruling->name(), instance.name());
    end_canary(why);
    retire_failed(instance.record);
}

/// The policy that rules the other CPUs failed. Nobody else follows what happens, so the canary rules all of them,
/// unless it failed as well.
void ModuleSystem::let_canary_take_over() {
    PolicySlot& policy = kernel_.threads.policy();
    policy.replace_failed();
    Instance& instance = *canary_->instance;
    if (policy.ruling_instance() != &instance) return end_canary("both policies failed");
    {
        MutexGuard guard(registry_);
        make_primary(*interfaces_.find(InterfaceTraits<Scheduler>::kId.name), instance);
    }
    canary_->took_over = true;
    canary_->evict_ns = kernel_.threads.cycles_to_ns(policy.returned_cycles() - canary_->ruling->failed_cycles);
    kernel_.log.warning("supervisor", "{} took over helix.scheduler", instance.name());
    forget_canary();
}

void ModuleSystem::note_cpu_offline(CpuId cpu) {
    if (__atomic_load_n(&canary_cpu_, __ATOMIC_SEQ_CST) == cpu) announce_trial_over();
}

/// The time of the canary is over, or something else is, and it was not ended: it rules all CPUs, or none.
Result<void> ModuleSystem::decide_canary(Swapping& swapping, const Canary& canary, WakeReason woken) {
    Instance& candidate = *canary.instance;
    if (woken == WakeReason::Cancelled) return Error(ErrorCode::Cancelled, "it was interrupted");
    if (woken != WakeReason::TimedOut && !candidate.is_ended() && !canary.ruling->is_ended())
        return Error(ErrorCode::InvalidState, "its CPU went offline");
    if (const auto fit = check_mirror(candidate); !fit.ok()) {
        swapping.entry.result = TransactionResult::RolledBack;
        return fit;
    }
    TRY(lock_calls(canary.ruling->record));
    return commit_scheduler(*swapping.record, candidate, canary.ruling, nullptr, swapping.clock);
}

Result<uint64_t> ModuleSystem::swap_after_canary(Text interface_name, Text name, const CanaryTerms& terms,
                                                 ProgressFunction progress, void* context) {
    Swapping swapping(kernel_.threads);
    HistoryRecord& entry = swapping.entry;
    Canary canary;
    InstanceId instance = InstanceId::None;
    {
        MutexGuard guard(change_);
        look_after_failed();
        const auto begun = [&]() -> Result<void> {
            change_.assert_held();
            TRY(begin_swap(swapping, interface_name, name, &terms));
            return begin_canary(swapping, terms, canary);
        }();
        if (!begun.ok()) return finish_swap(swapping, begun);
        instance = canary.instance->id;
    }
    const FixedText<46> candidate(swapping.record->name());
    const WakeReason woken = wait_for_trial(canary.ended, terms.duration_ns, progress, context);
    MutexGuard guard(change_);
    look_after_failed();
    Result<void> result = ErrorCode::ModuleFailed;
    entry.result = TransactionResult::Cancelled;
    if (canary_ == &canary) {
        result = decide_canary(swapping, canary, woken);
        if (result.ok()) {
            forget_canary();
            return finish_swap(swapping, result);
        }
        look_after_failed();  // what failed meanwhile says more
        if (canary_ == &canary) end_canary(result.error().sentence());
    }
    // Who failed may have been unloaded by now.
    swapping.record = find_record(candidate.text());
    if (swapping.record != nullptr && swapping.record->current->id != instance) swapping.record = nullptr;
    entry.cause = canary.cause;
    entry.evict_ns = canary.evict_ns;
    if (canary.took_over) {
        entry.result = TransactionResult::Committed;
        entry.phase = Phase::Serving;
        swapping.clock.stop();
        return finish_swap(swapping, {});
    }
    const bool failed = !canary.cause.rule.empty();
    if (failed) entry.result = TransactionResult::RolledBack;
    // What came of it is said, however long the reason is; the log has that whole.
    const auto end = format<30>("; CPU {} went back", canary.cpu);
    const Text why = canary.why.text().substr(0, Error::kCapacity - end.size());
    return finish_swap(
        swapping, Error(failed ? ErrorCode::ModuleFailed : result.error().code(), format("{}{}", why, end).text()));
}

}  // namespace helix::kernel

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

/// From here on the candidate rules its CPU. An error leaves nothing mirrored.
Result<void> ModuleSystem::begin_canary(Swapping& swapping, const CanaryTerms& terms, Canary& canary) {
    PolicySlot& policy = kernel_.threads.policy();
    TRY(check_implementor(*swapping.interface, *swapping.record));
    end_scheduler_trial("another policy was to rule");
    Instance& candidate = *swapping.record->current;
    canary.instance = &candidate;
    canary.ruling = static_cast<Instance*>(policy.ruling_instance());
    canary.cpu = terms.cpu;
    auto begun = prepare_scheduler(candidate, swapping.clock);
    if (begun.ok()) {
        policy.stand_by();
        // Whoever takes the CPU offline looks here after it has looked who rules there.
        canary_ = &canary;
        canary_under_way_.wake_all([&](const Canary*& under_way) { under_way = &canary; });
        swapping.clock.enter(Phase::Canary);
        const PreemptionGuard no_preemption;
        Cpu& cpu = kernel_.threads.cpu(terms.cpu);
        cpu.lock.acquire();
        if (cpu.leaving)
            begun = Error(ErrorCode::InvalidState, format("CPU {} goes offline", terms.cpu).text());
        else if (policy.mirror_failed())
            begun = candidate.failed_error();
        else
            begun = check_count(candidate, cpu);
        if (begun.ok()) policy.begin_canary(cpu);
        cpu.lock.release();
    } else if (begun.error().code() == ErrorCode::TimedOut) {
        swapping.clock.entry().result = TransactionResult::Cancelled;
    }
    if (!begun.ok()) leave_canary();
    return begun;
}

void ModuleSystem::forget_canary() {
    canary_ = nullptr;
    canary_under_way_.wake_all([](const Canary*& under_way) { under_way = nullptr; });
}

/// Nobody is mirrored any more, and no CPU ruled by who was.
void ModuleSystem::leave_canary() {
    kernel_.threads.policy().drop_mirror();
    forget_canary();
}

/// The canary, if there is one, is over before its time.
void ModuleSystem::end_canary(CanaryEnd end) {
    if (canary_ == nullptr) return;
    canary_->end = end;
    leave_canary();
}

/// It failed, on its CPU or in the mirror of another.
void ModuleSystem::end_failed_canary(Text why) {
    Canary& canary = *canary_;
    ModuleRecord& record = canary.instance->record;
    const FailureNote& note = canary.instance->note;
    PolicySlot& policy = kernel_.threads.policy();
    policy.replace_failed();  // the supervisor mostly did, at once
    canary.why.assign(why);
    canary.cause = note.cause;
    canary.evict_ns = kernel_.threads.cycles_to_ns(policy.returned_cycles() - canary.instance->failed_cycles);
    kernel_.log.warning("supervisor", "{} rules CPU {} again", canary.ruling->name(), canary.cpu);
    end_canary(CanaryEnd::Failed);
    retire_failed(record);
}

/// The policy that rules the other CPUs failed. Nobody else follows what happens, so the canary rules all of them,
/// unless it failed as well.
void ModuleSystem::let_canary_take_over() {
    PolicySlot& policy = kernel_.threads.policy();
    policy.replace_failed();
    Instance& instance = *canary_->instance;
    if (policy.ruling_instance() != &instance) return end_canary(CanaryEnd::Displaced);
    {
        MutexGuard guard(registry_);
        make_primary(*interfaces_.find(InterfaceTraits<Scheduler>::kId.name), instance);
    }
    canary_->evict_ns = kernel_.threads.cycles_to_ns(policy.returned_cycles() - canary_->ruling->failed_cycles);
    kernel_.log.warning("supervisor", "{}, which ruled CPU {}, took over helix.scheduler", instance.name(),
                        canary_->cpu);
    end_canary(CanaryEnd::TookOver);
}

void ModuleSystem::note_cpu_offline(CpuId cpu) {
    canary_under_way_.wake_all([&](const Canary*& under_way) {
        if (under_way != nullptr && under_way->cpu == cpu) under_way = nullptr;
    });
}

/// The time of the canary is over, or something else is, and it was not ended: it rules all CPUs, or none.
Result<void> ModuleSystem::decide_canary(Swapping& swapping, const Canary& canary, WakeReason woken) {
    HistoryRecord& entry = swapping.clock.entry();
    PolicySlot& policy = kernel_.threads.policy();
    Instance& candidate = *canary.instance;
    Cpu& cpu = kernel_.threads.cpu(canary.cpu);
    bool rules = false;
    {
        const PreemptionGuard no_preemption;
        cpu.lock.acquire();
        rules = policy.has_canary(cpu);
        cpu.lock.release();
    }
    entry.result = TransactionResult::Cancelled;
    if (woken == WakeReason::Cancelled) return Error(ErrorCode::Cancelled, "it was interrupted");
    if (!rules && !candidate.is_ended() && !canary.ruling->is_ended())
        return Error(ErrorCode::InvalidState, format("CPU {} went offline", canary.cpu).text());
    entry.result = TransactionResult::RolledBack;
    TRY(check_mirror(candidate));
    TRY(lock_calls(canary.ruling->record));
    return commit_scheduler(*swapping.record, candidate, canary.ruling, nullptr, swapping.clock);
}

Result<uint64_t> ModuleSystem::swap_after_canary(Text interface_name, Text name, const CanaryTerms& terms,
                                                 CanaryFunction progress, void* context) {
    constexpr uint64_t kProgressNs = 1'000'000'000;
    Swapping swapping(kernel_.threads);
    Canary canary;
    InstanceId instance = InstanceId::None;
    FixedText<46> ruling;
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
        ruling.assign(canary.ruling->name());
    }
    const FixedText<46> candidate(swapping.record->name());
    const uint64_t begun_ns = arch::now_ns();
    const uint64_t deadline_ns = deadline_after(terms.duration_ns);
    WakeReason woken = WakeReason::TimedOut;
    for (;;) {
        const uint64_t next_ns = deadline_after(kProgressNs);
        woken = canary_under_way_.wait_until([&](const Canary* under_way) { return under_way != &canary; },
                                             next_ns < deadline_ns ? next_ns : deadline_ns);
        if (woken != WakeReason::TimedOut || arch::now_ns() >= deadline_ns) break;
        if (progress != nullptr) progress(context, candidate.text(), arch::now_ns() - begun_ns);
    }
    MutexGuard guard(change_);
    look_after_failed();
    HistoryRecord& entry = swapping.clock.entry();
    Result<void> result;
    if (canary_ == &canary) {
        result = decide_canary(swapping, canary, woken);
        if (result.ok()) {
            forget_canary();
            return finish_swap(swapping, result);
        }
        look_after_failed();  // what failed meanwhile says more
    }
    if (canary_ == &canary) {
        leave_canary();
        if (result.error().code() == ErrorCode::TimedOut) entry.result = TransactionResult::Cancelled;
        return finish_swap(
            swapping, Error(result.error().code(),
                            format("{}; {} rules CPU {} again", result.error().sentence(), ruling, canary.cpu).text()));
    }
    // Who failed may have been unloaded by now.
    entry.evict_ns = canary.evict_ns;
    swapping.record = find_record(candidate.text());
    if (swapping.record != nullptr && swapping.record->current->id != instance) swapping.record = nullptr;
    result = {};
    switch (canary.end) {
        case CanaryEnd::TookOver:
            entry.result = TransactionResult::Committed;
            entry.phase = Phase::Serving;
            swapping.clock.stop();
            break;
        case CanaryEnd::Failed:
            entry.result = TransactionResult::RolledBack;
            entry.cause = canary.cause;
            result = Error(ErrorCode::ModuleFailed, format("{}; CPU {} went back", canary.why, canary.cpu).text());
            break;
        default:
            entry.result = TransactionResult::Cancelled;
            result = Error(ErrorCode::Cancelled, describe(canary.end));
            break;
    }
    return finish_swap(swapping, result);
}

}  // namespace helix::kernel

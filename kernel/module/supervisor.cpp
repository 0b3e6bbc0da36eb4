// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The supervisor: looks after failed instances and ends probations. A thread of the kernel class.

#include "helix/units.hpp"
#include "kernel/kernel.hpp"
#include "kernel/module/module_hold.hpp"
#include "kernel/module/module_system.hpp"
#include "kernel/panic.hpp"

#include <utility>

namespace helix::kernel {

namespace {
constexpr uint64_t kDefaultProbationNs = 1'000'000'000;
constexpr uint64_t kBusyProbationNs =
    50'000'000;  // how much longer it lasts, again and again, while a call is under way
constexpr uint64_t kTickEventNs = 1'000'000'000;
}  // namespace

void ModuleSystem::push_failed(Instance& instance) {
    Instance* head = __atomic_load_n(&failed_, __ATOMIC_RELAXED);
    do {
        instance.next_failed = head;
    } while (!__atomic_compare_exchange_n(&failed_, &head, &instance, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

void ModuleSystem::wake_supervisor() {
    rounds_.wake_all([](Rounds& rounds) { rounds.wanted = true; });
}

void ModuleSystem::forget_failed(Instance& instance) {
    change_.assert_held();
    Instance* taken = __atomic_exchange_n(&failed_, nullptr, __ATOMIC_ACQUIRE);
    while (taken != nullptr) {
        Instance* const next = taken->next_failed;
        taken->next_failed = failed_seen_;
        failed_seen_ = taken;
        taken = next;
    }
    for (Instance** link = &failed_seen_; *link != nullptr; link = &(*link)->next_failed) {
        if (*link != &instance) continue;
        *link = instance.next_failed;
        instance.record.open_after_failed();  // callers wait there for a decision that nobody takes any more
        break;
    }
}

void ModuleSystem::supervisor_main(void* argument) {
    auto& system = *static_cast<ModuleSystem*>(argument);
    for (;;) {
        uint64_t deadline = system.next_tick_ns();
        {
            MutexGuard guard(system.change_);
            for (const Probation& probation : system.probations_) {
                if (!probation.active) continue;
                if (probation.deadline_ns < deadline) deadline = probation.deadline_ns;
            }
            if (const uint64_t restart_ns = system.next_restart_ns(); restart_ns < deadline) deadline = restart_ns;
        }
        uint64_t round = 0;
        system.rounds_.wait_until(
            [&](Rounds& rounds) {
                round = rounds.asked;
                return std::exchange(rounds.wanted, false);
            },
            deadline, Cancellable::No);
        // A failed policy is replaced at once by the mirrored one, before anything that might wait. Its threads have
        // waited long enough: what else is to be done takes longer than a tick.
        if (system.kernel_.threads.policy().replace_failed()) (void)system.kernel_.threads.sleep(Threads::kTickNs).ok();
        system.supervise();
        system.send_periodic_events();
        system.rounds_.wake_all([&](Rounds& rounds) { rounds.done = round; });
    }
}

void ModuleSystem::settle() {
    // A failure may send events, and an event may fail: twice.
    for (int i = 0; i < 2; ++i) {
        (void)drain_events();
        wait_for_supervisor();
        // Restarts that are due take as many rounds as threads take to leave.
        while (!current_thread().cancelled && is_restart_due()) wait_for_supervisor();
    }
}

bool ModuleSystem::is_restart_due() {
    bool due = false;
    const uint64_t now_ns = arch::now_ns();
    for_each([&](ModuleRecord& record) {
        due |= record.state() == ModuleState::Restarting && record.restarts.due_ns <= now_ns;
    });
    return due;
}

void ModuleSystem::announce_decided(ModuleRecord& record) {
    record.open_after_failed();
    rounds_.wake_all([&](Rounds&) { __atomic_add_fetch(&restarts_ended_, 1, __ATOMIC_RELEASE); });
    plan_looks();  // while it did not run, nobody planned to look at it
}

Result<void> ModuleSystem::wait_for_restart(uint64_t ended, uint64_t deadline_ns) {
    switch (rounds_.wait_until([&](Rounds&) { return restarts_ended() != ended; }, deadline_ns)) {
        case WakeReason::TimedOut: return ErrorCode::TimedOut;
        case WakeReason::Cancelled: return ErrorCode::Cancelled;
        default: return {};
    }
}

void ModuleSystem::wait_for_supervisor() {
    uint64_t ticket = 0;
    rounds_.wake_all([&](Rounds& rounds) {
        rounds.wanted = true;
        ticket = ++rounds.asked;
    });
    rounds_.wait_until([&](Rounds& rounds) { return rounds.done >= ticket; });
}

// ---- Events that come by themselves: a Tick every second, and MemoryPressure when its level changes.

/// When the next of them is due; kForever while nobody subscribed.
uint64_t ModuleSystem::next_tick_ns() {
    constexpr uint32_t kPeriodic =
        1u << static_cast<uint32_t>(EventKind::Tick) | 1u << static_cast<uint32_t>(EventKind::MemoryPressure);
    bool wanted = false;
    for_each(
        [&](ModuleRecord& record) { wanted |= record.is_wanted() && (record.current->event_kinds & kPeriodic) != 0; });
    if (!wanted) return kForever;
    return last_tick_ns_ + kTickEventNs;
}

void ModuleSystem::send_periodic_events() {
    const uint64_t now_ns = arch::now_ns();
    if (next_tick_ns() > now_ns) return;
    last_tick_ns_ = now_ns;
    (void)emit(Event::make_tick(now_ns)).ok();  // a full queue drops ticks
    const uint64_t free = kernel_.pages.free_pages();
    const uint64_t total = kernel_.pages.total_pages();
    const MemoryPressureLevel level = free * 32 < total   ? MemoryPressureLevel::Critical
                                      : free * 10 < total ? MemoryPressureLevel::Low
                                                          : MemoryPressureLevel::Normal;
    if (level != memory_pressure_ && emit(Event::make_memory_pressure(level)).ok()) memory_pressure_ = level;
}

void ModuleSystem::supervise() {
    MutexGuard guard(change_);
    look_after_failed();
    run_restarts();
    expire_probations(arch::now_ns());
}

/// Handles every failure that was noted so far.
void ModuleSystem::look_after_failed() {
    for (;;) {
        Instance* taken = failed_seen_;
        if (taken != nullptr) {
            failed_seen_ = taken->next_failed;
        } else {
            taken = __atomic_load_n(&failed_, __ATOMIC_ACQUIRE);
            while (taken != nullptr && !__atomic_compare_exchange_n(&failed_, &taken, taken->next_failed, false,
                                                                    __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
            }
        }
        if (taken == nullptr) return;
        handle_failed(*taken);
    }
}

void ModuleSystem::handle_failed(Instance& instance) {
    ModuleRecord& record = instance.record;
    const FixedText<186> sentence = describe_failure(instance.note, instance);
    instance.complete_cause();
    kernel_.log.error("supervisor", "{}", sentence.text());
    // A sentence about a thread names it itself.
    if (instance.note.rule.find('@') == SIZE_MAX)
        kernel_.log.error("supervisor", "{} failed on {}", instance.name(), describe_thread(instance.note));
    if (scheduler_trial_.instance == &instance) return end_failed_scheduler_trial(sentence.text());
    if (canary_ != nullptr && canary_->instance == &instance) return end_failed_canary(sentence.text());
    if (canary_ != nullptr && canary_->ruling == &instance) let_canary_take_over();
    if (instance.on_trial)
        kernel_.log.info("supervisor", "that was the {} on trial; the other one serves", instance.name());
    const bool goes = record.current == &instance && roll_back_swaps_of(instance, sentence.text());
    for (Probation& probation : probations_) {
        if (!probation.active || probation.interface != nullptr) continue;
        if (probation.is_of(record) && record.current == &instance) {
            if (probation.previous_policy == nullptr || let_previous_rule(probation))
                return roll_back(probation, sentence.text());
            end_probation(probation);
            break;
        }
        if (probation.previous_policy == &instance) {
            // The policy that waited behind the ruling one failed: there is nothing to go back to.
            end_probation(probation);
            if (record.current == &instance) retire_failed(record);
            return;
        }
    }
    // An instance that is not the current one belongs to a transaction, which sees the failure itself.
    if (record.current != &instance || instance.state == ModuleState::Failed) return record.open_after_failed();

    if (goes) return remove_failed(record);

    record.restarts.note_failure(arch::now_ns());
    record.restarts.reason = sentence;
    record.restarts.history_id = history_.add(record_of_failure(instance, sentence.text(), record.restarts.failed_ns));
    InterfaceRecord* ruled = nullptr;
    for (uint32_t i = 0; i < record.slot_count; ++i) {
        InterfaceRecord& interface = record.slots[i]->interface;
        if (interface.primary_record != &record) continue;
        if (interface.name == InterfaceTraits<Scheduler>::kId.name)
            kernel_.threads.policy().drop_ruling();
        else if (interface.name == InterfaceTraits<Allocator>::kId.name)
            kernel_.heap.owner_failed(instance.heap_owner);
        else
            continue;
        ruled = &interface;
    }
    if (!plan_restart(record, sentence.text())) return give_up(record);
    if (ruled == nullptr) return;
    // The kernel does not wait for a policy. Whoever takes over rules from then on.
    record.restarts.ruled = true;
    {
        MutexGuard guard(registry_);
        ruled->primary_record = nullptr;
        ruled->primary->fill(nullptr);
    }
    abandon_heap_blocks(instance);
    fail_over(*ruled, name_with_version(instance).text(), instance.failed_cycles);
}

/// What the history says of a failure, until it is known what came of it.
HistoryRecord ModuleSystem::record_of_failure(const Instance& failed, Text reason, uint64_t time_ns) const {
    const ModuleRecord& record = failed.record;
    HistoryRecord entry;
    entry.time_ns = time_ns;
    entry.from = name_with_version(failed);
    for (uint32_t i = 0; i < record.slot_count; ++i) {
        const InterfaceRecord& interface = record.slots[i]->interface;
        if (i == 0 || interface.primary_record == &record) entry.interface = interface.name;
    }
    entry.phase = Phase::Serving;
    entry.result = TransactionResult::Failed;
    entry.reason.assign(reason);
    entry.cause = failed.note.cause;
    return entry;
}

/// Sees to it that another running implementor is the primary one of `interface`. Where the kernel itself plugs in, its
/// own last resort serves until then, and for good if there is none; elsewhere withdraw_interfaces has chosen. `from`
/// is who served before, with version; empty if nobody did.
void ModuleSystem::fail_over(InterfaceRecord& interface, Text from, uint64_t failed_cycles) {
    if (const ModuleRecord* const heir = interface.primary_record; heir != nullptr) {
        HistoryRecord entry;
        entry.time_ns = arch::now_ns();
        entry.interface = interface.name;
        entry.from.assign(from);
        entry.to = name_with_version(*heir->current);
        entry.result = TransactionResult::Committed;
        entry.phase = Phase::Serving;
        history_.add(entry);
        kernel_.log.warning("supervisor", "{} took over {}", heir->name(), interface.name.text());
        return;
    }
    if (!is_plugged_by_kernel(interface.name.text())) {
        kernel_.log.error("supervisor", "no implementor of {} is left", interface.name.text());
        return;
    }
    // Who ruled before, if that is still there; else whoever can.
    for (ModuleRecord* const wanted : {interface.previous, static_cast<ModuleRecord*>(nullptr)}) {
        for (Slot& slot : interface.implementors) {
            ModuleRecord& other = *slot.record;
            if (wanted != nullptr ? &other != wanted : &other == interface.previous) continue;
            if (other.state() != ModuleState::Running || other.current->is_ended()) continue;
            HistoryRecord entry;
            PhaseClock clock(kernel_.threads, entry);
            entry.interface = interface.name;
            entry.from.assign(from);
            entry.to = name_with_version(*other.current);
            auto plugged = swap_primary(interface, other, clock);
            if (failed_cycles != 0) entry.evict_ns = kernel_.threads.cycles_to_ns(arch::cycles() - failed_cycles);
            (void)store(clock, plugged);
            if (!plugged.ok()) continue;
            kernel_.log.warning("supervisor", "{} took over {}", other.name(), interface.name.text());
            return;
        }
    }
    kernel_.log.error("supervisor", "no implementor of {} is left: the kernel's built-in one serves",
                      interface.name.text());
}

/// Blocks of a failed allocator may be in use after it is unmapped: the heap does not call it again, and forgets it
/// with the last.
void ModuleSystem::abandon_heap_blocks(Instance& instance) {
    if (instance.heap_owner == 0) return;
    kernel_.heap.abandon(instance.heap_owner);
    instance.heap_owner = 0;
}

/// Withdraws a failed instance and gives back what it held; the record stays, as Failed.
// The call lock may or may not be had, which the analysis cannot follow.
void ModuleSystem::retire_failed(ModuleRecord& record) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    Instance& instance = *record.current;
    kernel_.threads.cancel_threads_of(instance);
    abandon_heap_blocks(instance);
    withdraw_interfaces(record);
    const bool locked = record.call_lock.lock_for(kCallWaitNs);
    instance.become(ModuleState::Failed);
    record.open_after_failed();
    if (locked && expel(instance))
        instance.give_back();
    else
        kernel_.log.error("supervisor", "{}: threads are still inside; its memory stays", record.name());
    if (locked) record.call_lock.unlock();
    give_back_mappings(record);
}

// ---- Probation.

uint64_t ModuleSystem::probation_ns(const ModuleRecord& record) const {
    uint64_t duration = kDefaultProbationNs;
    Text value = kernel_.profile.value(format<100>("module.{}.probation", record.name()).text());
    if (value.empty()) value = kernel_.profile.value("kernel.probation");
    if (!value.empty() && !parse_duration(value, duration))
        kernel_.log.warning("kernel", "probation = \"{}\" is not a duration such as 500ms", value);
    return duration;
}

Probation& ModuleSystem::begin_probation(Probation probation) {
    probation.active = true;
    uint64_t longest_ns = probation.record == nullptr ? 0 : probation_ns(*probation.record);
    for (const Replacement& member : probation.group)
        if (const uint64_t own_ns = probation_ns(member.record); own_ns > longest_ns) longest_ns = own_ns;
    probation.deadline_ns = deadline_after(longest_ns);
    Probation* place = &probations_[0];
    for (Probation& candidate : probations_) {
        if (!candidate.active) {
            place = &candidate;
            break;
        }
        if (candidate.deadline_ns < place->deadline_ns) place = &candidate;
    }
    if (place->active) end_probation(*place);
    *place = std::move(probation);
    wake_supervisor();
    return *place;
}

void ModuleSystem::end_probation(Probation& probation) {
    if (probation.previous_policy != nullptr) kernel_.threads.policy().drop_mirror();
    finish_probation(probation);
}

/// Mirrors the previous policy again, after another candidate had its place for a while.
void ModuleSystem::resume_probation(Probation& probation) {
    Instance& previous = *probation.previous_policy;
    const SlotTarget* const target = target_of(previous, InterfaceTraits<Scheduler>::kId.name);
    PolicySlot& policy = kernel_.threads.policy();
    if (!previous.is_ended() && policy.mirror(static_cast<Scheduler*>(target->implementation), &previous).ok())
        policy.stand_by();
    else
        finish_probation(probation);
}

/// Lets go of what was kept for a return. Nothing of it is mirrored any more.
void ModuleSystem::finish_probation(Probation& probation) {
    probation.active = false;
    amend_history_of(probation, [](HistoryRecord& entry) {
        if (entry.result == TransactionResult::Committed) entry.phase = Phase::Serving;
    });
    if (probation.previous_policy != nullptr) {
        // After a reload in place the previous policy is an instance that no record holds any more.
        Instance* const old = probation.previous_policy;
        if (&old->record == probation.record && probation.record->current != old) {
            if (!old->is_ended() && old->call_in_time<&Module::stop>().ok()) {
                old->become(ModuleState::Stopped);
                report_leaks(*old);
            }
            dispose(*old);
        }
        probation.previous_policy = nullptr;
    }
    const Replacements group = std::move(probation.group);
    for (size_t i = group.size(); i-- > 0;) dispose(*group[i].spare);
    for (const Replacement& member : group) {
        trim_slots(member.record);  // those that only the spare implemented
        give_back_mappings(member.record);
    }
    // A reload whose own probation ended during this one left that to it.
    if (probation.record != nullptr) give_back_mappings(*probation.record);
}

void ModuleSystem::end_probation_of(ModuleRecord& record) {
    for (Probation& probation : probations_)
        if (probation.active && (probation.is_of(record) || probation.previous_record == &record))
            end_probation(probation);
}

void ModuleSystem::end_probation_of(const InterfaceRecord& interface) {
    for (Probation& probation : probations_)
        if (probation.active && probation.interface == &interface) end_probation(probation);
}

/// At the end of the probation of `record`. A call that began in it is part of it: it may yet run over its budget. And
/// who is not healthy by now has failed.
static bool has_passed(ModuleRecord& record) {
    if (!record.call_lock.try_lock()) return false;
    bool healthy = true;
    if (record.state() == ModuleState::Running && !record.current->is_ended()) {
        const auto answer = record.current->call_in_time<&Module::is_healthy>();
        healthy = answer.ok() && answer.value();
        if (!healthy) {
            FailureNote note;
            note.failure = GateFailure::Abort;
            note.rule = "it said at the end of its probation that it is not healthy";
            module_failed(*record.current, note);  // unless it failed just now
        }
    }
    record.call_lock.unlock();
    return healthy;
}

void ModuleSystem::expire_probations(uint64_t now_ns) {
    for (Probation& probation : probations_) {
        if (!probation.active || probation.deadline_ns > now_ns) continue;
        bool passed = probation.record == nullptr || has_passed(*probation.record);
        for (const Replacement& member : probation.group) passed = passed && has_passed(member.record);
        if (!passed) {
            probation.deadline_ns = now_ns + kBusyProbationNs;
            continue;
        }
        ModuleRecord* const record = probation.record;
        end_probation(probation);
        if (record != nullptr) trim_slots(*record);
    }
}

/// The policy that stands by rules afterwards, unless it has failed as well: then false.
bool ModuleSystem::let_previous_rule(const Probation& probation) {
    PolicySlot& policy = kernel_.threads.policy();
    policy.replace_failed();
    return policy.ruling_instance() == probation.previous_policy;
}

}  // namespace helix::kernel

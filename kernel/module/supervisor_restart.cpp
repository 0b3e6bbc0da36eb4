// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Bringing a failed module back: getting everybody out, starting a successor, giving up.
//
// From the failure until it is decided who serves the module is Restarting: blocking callers wait at the slots, which
// lead nowhere meanwhile. Everything here runs with the change lock held.

#include "kernel/duration.hpp"
#include "kernel/kernel.hpp"
#include "kernel/module/module_hold.hpp"
#include "kernel/module/module_system.hpp"
#include "kernel/panic.hpp"

namespace helix::kernel {

namespace {
constexpr uint64_t kLookNs = 20'000'000;  // for how long, and how often, is waited for threads to leave
}  // namespace

/// Plans to bring the module of `record` back, whose instance, or an attempt, has just failed. False if that is not to
/// be.
bool ModuleSystem::plan_restart(ModuleRecord& record, Text reason) {
    record.restarts.reason.assign(reason);
    if (!record.restarts.plan(record.supervision, arch::now_ns())) return false;
    if (record.state() != ModuleState::Restarting) record.current->become(ModuleState::Restarting);
    return true;
}

/// Gets all threads out of the failed instance of `record` and gives back what it holds. False if somebody is still
/// inside after `timeout_ns`; then everything is as it was.
bool ModuleSystem::empty_failed(ModuleRecord& record, uint64_t timeout_ns) {
    Instance& instance = *record.current;
    kernel_.threads.cancel_threads_of(instance);
    abandon_heap_blocks(instance);
    for (uint32_t i = 0; i < record.slot_count; ++i) {
        InterfaceRecord& interface = record.slots[i]->interface;
        record.slots[i]->fill(nullptr);
        if (interface.primary_record == &record) interface.primary->fill(nullptr);
    }
    ModuleHold hold(record);
    if (!hold.acquire(timeout_ns).ok() || !kernel_.threads.wait_threads_of(instance, timeout_ns).ok()) return false;
    instance.give_back();
    record.restarts.emptied = true;
    return true;
}

/// Looks after all modules that are to come back, in the order in which they were started: providers before those who
/// need them.
void ModuleSystem::run_restarts() {
    const auto next = [&](ModuleRecord* after) {
        ModuleRecord* found = nullptr;
        for_each([&](ModuleRecord& record) {
            if (after == nullptr && found == nullptr && record.state() == ModuleState::Restarting) found = &record;
            if (&record == after) after = nullptr;
        });
        return found;
    };
    for (ModuleRecord* record = next(nullptr); record != nullptr; record = next(record)) {
        Restarts& restarts = record->restarts;
        if (!restarts.emptied && !empty_failed(*record, kLookNs)) {
            if (arch::now_ns() - restarts.failed_ns < kLeaveWaitNs) continue;
            kernel_.log.error("supervisor", "{} cannot come back: {} did not leave", record->name(),
                              ModuleHold::describe_caller(*record->current));
            give_up(*record);
            continue;
        }
        if (restarts.due_ns > arch::now_ns() || waits_for_provider(*record)) continue;
        if (const auto returned = bring_back(*record); !returned.ok()) {
            kernel_.log.error("supervisor", "{} could not be restarted: {}", record->name(),
                              returned.error().sentence());
            if (!plan_restart(*record, returned.error().sentence())) give_up(*record);
        }
    }
}

/// When run_restarts has something to do next.
uint64_t ModuleSystem::next_restart_ns() {
    uint64_t next_ns = kForever;
    for_each([&](ModuleRecord& record) {
        if (record.state() != ModuleState::Restarting) return;
        const uint64_t look_ns = record.restarts.emptied ? record.restarts.due_ns : arch::now_ns() + kLookNs;
        if (look_ns < next_ns) next_ns = look_ns;
    });
    return next_ns;
}

/// A module whose provider is to come back as well comes back after it; that is no failed attempt.
bool ModuleSystem::waits_for_provider(ModuleRecord& record) {
    if (!needs_those_who_return(record)) return false;
    uint64_t provider_ns = kForever;
    for_each([&](ModuleRecord& other) {
        if (&other == &record || other.state() != ModuleState::Restarting) return;
        const uint64_t due_ns =
            other.restarts.due_ns > arch::now_ns() ? other.restarts.due_ns : arch::now_ns() + kLookNs;
        if (due_ns < provider_ns) provider_ns = due_ns;
    });
    if (provider_ns == kForever) return false;
    record.restarts.due_ns = provider_ns;
    return true;
}

/// A new instance of the image of the failed one, started, with what state there is. Nobody leads to it yet.
Result<Instance*> ModuleSystem::make_successor(ModuleRecord& record, PhaseClock& clock, Bytes state) {
    Instance* const successor = TRY(make_candidate(record, *record.current->image, clock));
    const auto started = [&]() -> Result<void> {
        clock.enter(Phase::Transfer);
        if (state.size() != 0) {
            StateReader reader = TRY(StateReader::open(state));
            TRY(successor->call_in_time<&Module::restore_state>(reader, Reason::Crash));
        }
        TRY(successor->call_in_time<&Module::start>());
        successor->become(ModuleState::Running);
        clock.enter(Phase::Verify);
        return check_health(*successor);
    }();
    if (started.ok()) return successor;
    if (successor->state == ModuleState::Running) (void)successor->call_in_time<&Module::stop>().ok();
    (void)dispose(*successor);
    return started.error();
}

Result<void> ModuleSystem::bring_back(ModuleRecord& record) {
    Restarts& restarts = record.restarts;
    Instance* const failed = record.current;
    const uint64_t now_ns = arch::now_ns();
    // What was kept may be what it fails over: the last attempt begins without.
    const bool afresh = restarts.is_last(record.supervision, now_ns);
    if (afresh) {
        release_kept(record);
        keep_for_restart(record);
    }
    restarts.note_attempt(now_ns);

    HistoryRecord entry = record_of_failure(*record.current, record.restarts.reason.text(), record.restarts.failed_ns);
    PhaseClock clock(kernel_.threads, entry, failed->failed_cycles);
    // An old state may be restored where the module says that this does no harm. One that refuses it after all begins
    // without.
    Instance* successor = nullptr;
    if (has(failed->info().flags(), ModuleFlags::RestoresStale) && record.saved.state.size() != 0) {
        auto made = make_successor(record, clock, record.saved.state.bytes());
        if (made.ok()) {
            successor = made.value();
            entry.state_bytes = record.saved.state.size();
        } else {
            kernel_.log.warning("supervisor", "{} begins without its saved state: {}", record.name(),
                                made.error().sentence());
            keep_for_restart(record);
        }
    }
    if (successor == nullptr) successor = TRY(make_successor(record, clock, {}));

    clock.enter(Phase::Commit);
    ModuleHold hold(record);
    if (auto held = hold.acquire(kLeaveWaitNs); !held.ok()) {
        if (successor->call_in_time<&Module::stop>().ok()) successor->become(ModuleState::Stopped);
        (void)dispose(*successor);
        return held;
    }
    {
        MutexGuard guard(registry_);
        __atomic_store_n(&record.current, successor, __ATOMIC_RELEASE);
        ++record.generation;
        refill_slots(record, *successor);
    }
    ++restarts.count;
    announce_decided(record);
    hold.release();
    clock.stop();
    Instance::destroy(failed);

    entry.phase = Phase::Serving;
    entry.to = entry.from;
    entry.result = TransactionResult::Restarted;
    clock.finish();
    note_pause(entry);
    history_.replace(restarts.history_id, entry);
    kernel_.log.warning("supervisor", "{} was restarted{}", record.name(),
                        afresh ? Text(", without what it had kept") : Text());
    if (restarts.ruled) rule_again(record);
    return {};
}

/// The module of `record`, which came back, is plugged in where it ruled, if nobody else is.
void ModuleSystem::rule_again(ModuleRecord& record) {
    record.restarts.ruled = false;
    for (uint32_t i = 0; i < record.slot_count; ++i) {
        InterfaceRecord& interface = record.slots[i]->interface;
        if (is_plugged_by_kernel(interface.name.text()) && interface.primary_record == nullptr)
            fail_over(interface, {});
    }
}

/// The failed module of `record` stays Failed: its places go to others, who waits for it waits no more.
void ModuleSystem::abandon_restart(ModuleRecord& record) {
    if (record.state() == ModuleState::Restarting && record.restarts.emptied) {
        withdraw_interfaces(record);
        record.current->become(ModuleState::Failed);
    } else {
        retire_failed(record);
    }
    announce_decided(record);
}

void ModuleSystem::give_up(ModuleRecord& record) {
    const Restarts& restarts = record.restarts;
    const Supervision& rules = record.supervision;
    InterfaceRecord* orphaned[ModuleRecord::kMaximumInterfaces] = {};
    uint32_t orphans = 0;
    for (uint32_t i = 0; i < record.slot_count; ++i)
        if (record.slots[i]->interface.primary_record == &record) orphaned[orphans++] = &record.slots[i]->interface;
    abandon_restart(record);
    const auto from = name_with_version(*record.current);
    const bool essential = has(record.current->info().flags(), ModuleFlags::Essential);
    if (restarts.gave_up) {
        const auto often = format<62>("{} restarts in {} did not help", rules.restart_limit,
                                      describe_duration(rules.restart_period_ns));
        history_.amend(restarts.history_id,
                       [&](HistoryRecord& entry) { entry.reason = format<186>("{}: {}", often, restarts.reason); });
        kernel_.log.error("supervisor", "gave up {}: {}", from, often);
        kernel_.log.error("supervisor", "cause: {}", restarts.reason);
        if (essential) panic(format("the essential module {}; {}", restarts.reason, often).text());
    } else if (essential) {
        panic(format("the essential module {}", restarts.reason).text());
    }
    kernel_.log.error("supervisor", "remedy: reload {} [FILE] starts it again, unload {} removes it", record.name(),
                      record.name());
    for (uint32_t i = 0; i < orphans; ++i) fail_over(*orphaned[i], from.text(), record.current->failed_cycles);
}

}  // namespace helix::kernel

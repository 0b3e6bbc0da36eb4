// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Health: asks modules how they are, watches calls that do not end, and finds out who is to blame for one.
//
// A thread of its own does it, of the ordinary class: what it asks runs in its time, under the module's call lock, and
// holds nobody else up. The supervisor acts on what it finds as on any failure. In the same turn it saves the state of
// modules for which the profile wants checkpoints.

#include "kernel/kernel.hpp"
#include "kernel/module/module_system.hpp"
#include "kernel/thread/gates.hpp"

#include <utility>

namespace helix::kernel {

void ModuleSystem::wake_health() {
    health_wanted_.wake_all([](bool& wanted) { wanted = true; });
}

/// The module whose turn it is, empty if it is nobody's before `next_ns`.
FixedText<46> ModuleSystem::next_look(uint64_t& next_ns) {
    FixedText<46> first;
    next_ns = kForever;
    for_each([&](ModuleRecord& record) {
        const uint64_t period_ns = record.supervision.look_period_ns();
        if (record.state() != ModuleState::Running || period_ns == 0) return;
        if (record.health.look_ns == 0) record.health.look_ns = arch::now_ns() + period_ns;
        if (record.health.look_ns >= next_ns) return;
        next_ns = record.health.look_ns;
        first.assign(record.name());
    });
    return next_ns > arch::now_ns() ? FixedText<46>() : first;
}

void ModuleSystem::health_main(void* argument) {
    auto& system = *static_cast<ModuleSystem*>(argument);
    for (;;) {
        uint64_t next_ns = 0;
        if (const auto name = system.next_look(next_ns); !name.empty()) {
            if (RecordPin record = system.find(name.text())) system.look_at(*record);
            continue;
        }
        system.health_wanted_.wait_until([](bool& wanted) { return std::exchange(wanted, false); }, next_ns,
                                         Cancellable::No);
    }
}

/// Asks one module, or watches the call that it is in. `record` is pinned.
void ModuleSystem::look_at(ModuleRecord& record) {
    const Supervision& rules = record.supervision;
    Health& health = record.health;
    const uint64_t now_ns = arch::now_ns();
    health.look_ns = now_ns + rules.look_period_ns();
    if (!record.call_lock.try_lock()) return watch_call(record, now_ns);
    health.busy_since_ns = 0;
    if (rules.health_period_ns != 0 && now_ns >= health.ask_ns && record.state() == ModuleState::Running) {
        health.ask_ns = now_ns + rules.health_period_ns;
        Instance& instance = *record.current;
        const auto answer = instance.call_in_time<&Module::is_healthy>();
        if (health.instance != instance.id) health.set_unhealthy(0);
        health.instance = instance.id;
        health.set_unhealthy(answer.ok() && !answer.value() ? health.unhealthy() + 1 : 0);
        if (health.unhealthy() >= rules.health_failures) {
            FailureNote note;
            note.failure = GateFailure::Abort;
            note.rule = "it said again and again that it is not healthy";
            module_failed(instance, note);
            health.set_unhealthy(0);
        }
    }
    if (rules.checkpoint_period_ns != 0 && record.state() == ModuleState::Running) take_checkpoint(record);
    record.call_lock.unlock();
}

/// Saves the state of `record`, which runs, for a restart, if it is time for that. In the module's own time, and the
/// thread's: nobody waits for it but who calls the module by name. Call lock held.
void ModuleSystem::take_checkpoint(ModuleRecord& record) {
    Health& health = record.health;
    Instance& instance = *record.current;
    const uint64_t now_ns = arch::now_ns();
    if (!has(instance.info().flags(), ModuleFlags::RestoresStale) || instance.is_ended()) return;
    if (health.saves == instance.id && now_ns < health.checkpoint_ns) return;
    const InstanceId before = std::exchange(health.saves, instance.id);
    health.checkpoint_ns = now_ns + record.supervision.checkpoint_period_ns;
    // A successor may have begun a moment ago, and fail over what it began with.
    if (before != instance.id && before != InstanceId::None) return;
    auto buffer = Buffer::create(kStateCapacity);
    Bytes state;
    const auto done = [&]() -> Result<void> {
        if (!buffer.ok()) return buffer.error();
        TRY(save_state_of(instance, buffer.value(), state));
        if (!state.empty()) TRY(StateReader::open(state));
        return {};
    }();
    if (instance.is_ended()) return;  // the supervisor knows
    if (done.ok()) return keep_for_restart(record, state, now_ns, instance.id);
    if (std::exchange(health.refused, instance.id) != instance.id)
        kernel_.log.warning("supervisor", "{}: no checkpoint: {}", record.name(), done.error().sentence());
}

void ModuleSystem::keep_for_restart(ModuleRecord& record, Bytes state, uint64_t time_ns, InstanceId by,
                                    InstanceId unless) {
    auto copy = Buffer::copy_of(state);
    if (!copy.ok()) return;  // the one before stays
    MutexGuard guard(registry_);
    if (unless != InstanceId::None && record.saved.instance == unless) return;
    record.saved.state = copy.take();
    record.saved.time_ns = time_ns;
    record.saved.instance = by;
}

void ModuleSystem::keep_reloaded(const Replacement& replacement, const Instance& serves) {
    const bool restores = has(serves.info().flags(), ModuleFlags::RestoresStale);
    keep_for_restart(replacement.record, restores ? replacement.state : Bytes(), replacement.saved_ns, InstanceId::None,
                     serves.id);
}

/// `record` is in a request or event. One that goes on for longer than the profile allows is the failure of whoever
/// keeps it, which need not be this module.
void ModuleSystem::watch_call(ModuleRecord& record, uint64_t now_ns) {
    Health& health = record.health;
    const uint64_t call = record.calls_so_far();
    if (health.busy_since_ns == 0 || health.busy_call != call) {
        health.busy_since_ns = now_ns;
        health.busy_call = call;
        return;
    }
    if (record.supervision.call_limit_ns == 0 || now_ns - health.busy_since_ns < record.supervision.call_limit_ns)
        return;
    health.busy_since_ns = 0;
    // The supervisor decides: this thread, which a policy orders, must not have the change lock.
    __atomic_store_n(&health.overdue_call, call, __ATOMIC_RELEASE);
    wake_supervisor();
}

/// Fails whoever keeps a call that goes on for too long. The supervisor's; change lock held, so that instances stay.
void ModuleSystem::end_overdue_calls() {
    MutexGuard guard(registry_);
    for (ModuleRecord& record : records_) {
        const uint64_t call = __atomic_exchange_n(&record.health.overdue_call, 0, __ATOMIC_ACQ_REL);
        if (call == 0 || call != record.calls_so_far()) continue;  // it has ended
        FailureNote note;
        Instance* const culprit = find_culprit(record, note.instruction);
        if (culprit == nullptr || culprit->is_ended()) continue;
        note.failure = GateFailure::Abort;
        note.rule = "it kept a call waiting for longer than its caller may take";
        module_failed(*culprit, note);
    }
}

/// Who keeps the call that `record` is in: the innermost module of the thread that makes it, if it waits there for
/// something of its own. One that waits for another module's turn leads on to who keeps that one; whoever waits for a
/// transaction or a restart, or computes, keeps nobody. `where` is where it waits.
Instance* ModuleSystem::find_culprit(ModuleRecord& record, uint64_t& where) {
    constexpr size_t kMaximumDepth = 16;  // a circle of requests ends by itself
    const Mutex* lock = &record.call_lock;
    for (size_t depth = 0; depth < kMaximumDepth; ++depth) {
        Instance* innermost = nullptr;
        const void* awaited = nullptr;
        bool waits = false;
        kernel_.threads.for_each_locked([&](Thread& thread) {
            if (!lock->is_held_by(thread) || thread.state != ThreadState::Blocked) return;
            waits = true;
            awaited = thread.awaits.load(std::memory_order_acquire);
            where = 0;
            for (Gate* gate = thread.gate; gate != nullptr && innermost == nullptr; gate = gate->previous()) {
                if (gate->kind() == GateKind::Kernel) where = gate->resume - 1;
                if (module_or_thread_gate(gate) == gate) innermost = &instance_of(gate->instance);
            }
        });
        if (!waits) return nullptr;
        if (awaited == nullptr) return innermost;
        lock = nullptr;
        for (ModuleRecord& other : records_)
            if (&other.call_lock == awaited) lock = &other.call_lock;
        if (lock == nullptr) return nullptr;
    }
    return nullptr;
}

}  // namespace helix::kernel

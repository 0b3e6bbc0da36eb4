// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Health: asks modules how they are.
//
// A thread of its own does it, of the ordinary class: what it asks runs in its time, under the module's call lock, and
// holds nobody else up. The supervisor acts on what it finds as on any failure. In the same turn it saves the state of
// modules for which the profile wants checkpoints.

#include "kernel/kernel.hpp"
#include "kernel/module/module_system.hpp"

#include <utility>

namespace helix::kernel {

void ModuleSystem::plan_looks() {
    plans_.wake_all([](uint64_t& plans) { ++plans; });
}

void ModuleSystem::wait_for_look(uint64_t next_ns, uint64_t& planned) {
    plans_.wait_until([&](const uint64_t& plans) { return std::exchange(planned, plans) != plans; }, next_ns,
                      Cancellable::No);
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
    for (uint64_t planned = 0;;) {
        uint64_t next_ns = 0;
        if (const auto name = system.next_look(next_ns); !name.empty()) {
            if (RecordPin record = system.find(name.text())) system.look_at(*record);
            continue;
        }
        system.wait_for_look(next_ns, planned);
    }
}

/// Asks one module, unless it is in a call. `record` is pinned.
void ModuleSystem::look_at(ModuleRecord& record) {
    const Supervision& rules = record.supervision;
    Health& health = record.health;
    const uint64_t now_ns = arch::now_ns();
    health.look_ns = now_ns + rules.look_period_ns();
    if (!record.call_lock.try_lock()) return;
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
    // What takes no old state begins without, and not with that of a module before it.
    if (!has(record.current->info().flags(), ModuleFlags::RestoresStale)) state = {};
    auto copy = Buffer::copy_of(state);
    if (!copy.ok()) return;  // the one before stays
    MutexGuard guard(registry_);
    if (unless != InstanceId::None && record.saved.instance == unless) return;
    record.saved.state = copy.take();
    record.saved.time_ns = time_ns;
    record.saved.instance = by;
}

void ModuleSystem::keep_reloaded(const Replacement& replacement, const Instance& serves) {
    keep_for_restart(replacement.record, replacement.state, replacement.saved_ns, InstanceId::None, serves.id);
}

}  // namespace helix::kernel

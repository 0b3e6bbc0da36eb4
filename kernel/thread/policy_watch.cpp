// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// PolicySlot: ticks, and whether the ruling policy keeps the rules, looked at with each pick and each tick.
//
// What a tick looks at costs the same however many threads wait: now and then how many the policy says there are, and
// whether it says that it has the few that have waited longest by the kernel's own list; and at each tick the first of
// these that is as urgent as who runs. Whoever is never picked is that one sooner or later, and stays it. Time counts
// against the policy that went to threads with no better right: no more urgent, and without wishes of their own, which
// a policy may take as it likes. So nobody is blamed for a thread that has its CPU by right, be it a more urgent one,
// one with a reservation, or any under a policy that promises no turns.
//
// A policy may say that it has a thread which it lost. So who was passed over for long is asked for in another way,
// where few wait: the others are taken out, as if they went to another CPU for a moment, and it has to be whom the
// policy would pick then.
//
// A thread that is moved to another CPU before it ran takes along what was seen of it. From the second such move on it
// goes in front of the list there, so that it is looked at however often it is moved.

#include "kernel/kernel.hpp"
#include "kernel/thread/policy_calls.hpp"

#include <utility>

namespace helix::kernel {

namespace {
/// So many are looked at one by one.
constexpr uint32_t kFew = 16;

/// It asks for nothing beyond its priority.
bool is_plain(const Thread& thread) {
    const SchedulingAttributes& wanted = thread.view[0].attributes;
    return (wanted.weight | wanted.runtime_ns | wanted.period_ns) == 0;
}
}  // namespace

constexpr PolicySlot::Rule PolicySlot::kLost{"lost", "it lost @, which waits for its turn"};

void PolicySlot::break_rule(uint32_t place, const Rule& rule, uint64_t method, const Thread* thread) {
    const Place& broken = at(place);
    const auto& instance = static_cast<const Instance&>(*broken.instance);
    FailureNote note;
    note.failure = GateFailure::Abort;
    note.is_answer = true;
    note.rule = rule.sentence;
    note.cause.rule = rule.name;
    if (thread != nullptr) name_thread(note, *thread);
    // Where the method is; unless the policy wrote over that.
    const uint64_t vtable = *reinterpret_cast<const uint64_t*>(broken.policy);
    if (instance.mapping != nullptr && instance.mapping->contains(vtable + method))
        note.instruction = *reinterpret_cast<const uint64_t*>(vtable + method);
    module_failed(*broken.instance, note);
}

void PolicySlot::picked_wrongly(uint32_t place, Cpu& cpu, uint64_t method, const SchedulerThread* answer,
                                const Thread* thread) {
    static constexpr Rule kNobody{"no-pick", "it picked nobody although @ waits"};
    static constexpr Rule kForeign{"foreign", "it picked something that is no thread of the policy's"};
    static constexpr Rule kRunning{"running", "it picked @, which runs already"};
    static constexpr Rule kBlocked{"blocked", "it picked @, which is not runnable"};
    static constexpr Rule kElsewhere{"elsewhere", "it picked @, which waits on another CPU"};
    if (answer == nullptr) return break_rule(place, kNobody, method, &cpu.policy_ready.front());
    if (thread == nullptr || thread->kind != ThreadClass::Policy) return break_rule(place, kForeign, method, thread);
    const ThreadState state = thread->state;  // of a moment ago, if another CPU has it
    switch (state) {
        case ThreadState::Running: return break_rule(place, kRunning, method, thread);
        case ThreadState::Runnable: return break_rule(place, kElsewhere, method, thread);
        default: return break_rule(place, kBlocked, method, thread);
    }
}

/// False if the policy that rules `cpu`, which serves, says that `thread`, which waits, is not in its queues.
bool PolicySlot::holds(Cpu& cpu, Thread& thread) {
    const uint32_t place = cpu.ruling;
    bool held = true;
    if ((thread.queued_in & bit_of(place)) != 0)
        (void)ask_seldom<&Scheduler::self_check>(place, &held, cpu.view[place], thread.view[place]);
    return held;
}

void PolicySlot::compare_counts(Cpu& cpu) {
    static constexpr Rule kStatistics{"statistics", "its statistics are wrong about how many threads wait"};
    const uint32_t place = cpu.ruling;
    const auto counted = statistics_of(place, cpu);
    if (!counted.ok()) return;
    const bool agrees = counted.value().runnable == cpu.ready_count;
    // If not, it is taken out in any case, and whom it lost is worth a look at each.
    uint32_t looks = agrees ? kFew : UINT32_MAX;
    for (Thread& thread : cpu.policy_ready) {
        if (!serves(place)) return;
        if (looks-- == 0) break;
        if (!holds(cpu, thread)) return break_rule(place, kLost, detail::vtable_offset(&Scheduler::enqueue), &thread);
    }
    if (!agrees) break_rule(place, kStatistics, detail::vtable_offset(&Scheduler::statistics), nullptr);
}

/// Of the few that have waited longest on `cpu` the first that has as good a right to run as one that is `plain` and
/// has `priority`; null if none has.
static Thread* first_passed_over(Cpu& cpu, uint32_t priority) {
    cpu.lock.assert_held();
    uint32_t looks = kFew;
    for (Thread& thread : cpu.policy_ready) {
        if (looks-- == 0) break;
        if (is_plain(thread) && thread.priority >= priority) return &thread;
    }
    return nullptr;
}

/// Who runs on `cpu`, or of the few that have waited longest there the first, that is bound to others of which one is
/// `online` (again); null if none is.
static Thread* bound_elsewhere(Cpu& cpu, uint64_t online) {
    cpu.lock.assert_held();
    const auto is_misplaced = [&](const Thread& thread) {
        return !thread.is_allowed_on(cpu.local.cpu) && (thread.allowed_cpus() & online) != 0;
    };
    if (is_misplaced(*cpu.current)) return cpu.current;
    uint32_t looks = kFew;
    for (Thread& thread : cpu.policy_ready) {
        if (looks-- == 0) break;
        if (is_misplaced(thread)) return &thread;
    }
    return nullptr;
}

/// Whether the policy that rules `cpu`, which serves, would pick `thread`, which waits there, if no other did; true
/// also where that cannot be asked, since many wait or one asks for something. Each of the others keeps what it has,
/// since who comes from another CPU does. A policy that fails meanwhile has failed: it is not judged once more.
bool PolicySlot::is_picked_alone(Cpu& cpu, const Thread& thread) {
    const uint32_t place = cpu.ruling;
    if (cpu.ready_count > kFew) return true;
    for (const Thread& other : cpu.policy_ready)
        if (!is_plain(other) || (other.queued_in & bit_of(place)) == 0) return true;
    void* const nothing = nullptr;
    SchedulerThread* answer = nullptr;
    note_time(place, cpu);
    for (Thread& other : cpu.policy_ready)
        if (&other != &thread && serves(place))
            ask_seldom<&Scheduler::dequeue>(place, nothing, cpu.view[place], other.view[place],
                                            DequeueReason::Migrated);
    if (serves(place)) ask_seldom<&Scheduler::would_pick>(place, &answer, cpu.view[place]);
    for (Thread& other : cpu.policy_ready)
        if (&other != &thread) enqueue_in_mirror(place, cpu, other, EnqueueReason::Migrated);
    return answer == &thread.view[place];
}

/// At a tick, while a thread of the policy class runs on `cpu`. The policy that rules there serves.
void PolicySlot::look_after_waiting(Cpu& cpu) {
    static constexpr Rule kStarved{"starved", "it let @ wait while its equals and less urgent ones ran"};
    if (++cpu.policy_ticks % (patience_ / 4) == 0) compare_counts(cpu);
    Vigil& vigil = cpu.vigil;
    const uint32_t place = cpu.ruling;
    if (cpu.policy_ticks % 8 == 0 && cpu.misplaced == nullptr) {
        Thread* misplaced = bound_elsewhere(cpu, threads_.cpus().online());
        // A policy that places threads may want one elsewhere by now that goes on running or waiting here.
        if (misplaced == nullptr && (at(place).traits & kPlacesThreads) != 0) {
            const bool waits = cpu.policy_ticks % 16 != 0 && !cpu.policy_ready.empty();
            misplaced = waits ? &cpu.policy_ready.front() : cpu.current;
        }
        if (misplaced != nullptr) {
            cpu.misplaced = misplaced;
            want_reschedule();
        }
    }
    if (cpu.policy_ready.empty() || !serves(place)) {
        cpu.watched = nullptr;
        return;
    }
    const Thread& runs = *cpu.current;
    Thread* const passed = is_plain(runs) ? first_passed_over(cpu, runs.priority) : nullptr;
    if (passed == nullptr) return;
    const uint16_t tenant = at(place).tenant;
    if (cpu.watched != passed || !is_about(vigil, *passed) || vigil.tenant != tenant) {
        leave_watch(cpu);
        const bool goes_on = is_about(passed->vigil, *passed) && passed->vigil.tenant == tenant;
        vigil = goes_on ? passed->vigil : Vigil{static_cast<uint32_t>(passed->switches), 0, tenant};
        cpu.watched = passed;
    }
    if (cpu.ready_count > vigil.most) vigil.most = static_cast<uint16_t>(cpu.ready_count);
    const uint64_t method = detail::vtable_offset(&Scheduler::pick_next);
    // A turn may be a tick longer than was meant.
    const uint32_t turn = promised_turn_ms(static_cast<SchedulerTraits>(at(place).traits));
    if (++vigil.passed_over % (patience_ / 2 + turn) == 0 && !is_picked_alone(cpu, *passed))
        return break_rule(place, kLost, method, passed);
    if (turn != 0 && vigil.passed_over > 4 * (uint64_t{vigil.most} + 1) * (turn + 1) + patience_)
        break_rule(place, kStarved, method, passed);
}

TickDecision PolicySlot::ask_tick(uint32_t place, Cpu& cpu, uint64_t now_ns) {
    TickDecision decision = TickDecision::Preempt;  // also if it failed
    cpu.view[place].now_ns = now_ns;
    (void)ask_seldom<&Scheduler::tick>(place, &decision, cpu.view[place], now_ns);
    return decision;
}

bool PolicySlot::tick(Cpu& cpu, uint64_t now_ns) {
    const uint32_t place = cpu.ruling;
    const bool would_preempt =
        is_told(other(place), place) && ask_tick(other(place), cpu, now_ns) == TickDecision::Preempt;
    bool preempts = serves(place) && ask_tick(place, cpu, now_ns) == TickDecision::Preempt;
    if (__builtin_expect(trial() != nullptr, 0)) compare_tick(cpu, preempts, would_preempt);
    if (serves(place)) look_after_waiting(cpu);
    if (!serves(place)) preempts = !cpu.policy_ready.empty();
    return preempts;
}

void PolicySlot::leave_watch(Cpu& cpu) {
    Thread* const watched = std::exchange(cpu.watched, nullptr);
    if (watched == nullptr || watched->state != ThreadState::Runnable ||
        __atomic_load_n(&watched->cpu, __ATOMIC_RELAXED) != cpu.local.cpu)
        return;  // it may have begun anew by now: nothing else of it may be looked at
    if (is_about(cpu.vigil, *watched)) watched->vigil = cpu.vigil;
}

}  // namespace helix::kernel

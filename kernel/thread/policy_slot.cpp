// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// PolicySlot: telling the ruling and the mirrored policy what happens, and believing neither blindly. What happens
// seldom is in policy_changes.cpp.

#include "kernel/thread/policy_calls.hpp"

#include "kernel/kernel.hpp"

namespace helix::kernel {

namespace {
constexpr void* kNothing = nullptr;  // a method that answers nothing
}

void PolicySlot::enqueue(Cpu& cpu, Thread& thread, EnqueueReason reason) {
    cpu.policy_ready.push_back(thread);
    cpu.ready_count = cpu.ready_count + 1;
    const uint32_t place = cpu.ruling;
    if (__builtin_expect(has_mirror(), 0)) enqueue_in_mirror(other(place), cpu, thread, reason);
    enqueue_in(place, cpu, thread, reason);
}

void PolicySlot::enqueue_in_mirror(uint32_t place, Cpu& cpu, Thread& thread, EnqueueReason reason) {
    enqueue_in(place, cpu, thread, reason);
}

void PolicySlot::tell_time(uint32_t place, Cpu& cpu) {
    threads_.take_time_of_current(cpu);
    cpu.view[place].now_ns = arch::now_ns();
}

inline __attribute__((always_inline)) void PolicySlot::enqueue_in(uint32_t place, Cpu& cpu, Thread& thread,
                                                                  EnqueueReason reason) {
    if (!serves(place)) return;
    thread.queued_in |= bit_of(place);
    thread.view[place].cpu = cpu.local.cpu;
    note_time(place, cpu);
    ask<&Scheduler::enqueue>(place, nullptr, cpu.view[place], thread.view[place], reason);
}

Thread* PolicySlot::pick(Cpu& cpu) {
    if (cpu.policy_ready.empty()) return nullptr;
    Thread* picked = nullptr;
    const uint32_t place = cpu.ruling;
    if (serves(place)) {
        SchedulerThread* answer = nullptr;
        if (ask<&Scheduler::pick_next>(place, &answer, cpu.view[place]))
            picked = validated(place, cpu, answer, detail::vtable_offset(&Scheduler::pick_next));
    }
    if (__builtin_expect(picked == nullptr, 0)) {
        picked = &cpu.policy_ready.front();
        ++cpu.fifo_picks;
    }
    if (__builtin_expect(has_mirror(), 0)) dequeue_in_mirror(other(place), cpu, *picked);
    cpu.policy_ready.erase(cpu.policy_ready.iterator_to(*picked));
    cpu.ready_count = cpu.ready_count - 1;
    picked->queued_in = 0;
    return picked;
}

void PolicySlot::dequeue_in_mirror(uint32_t place, Cpu& cpu, Thread& picked) {
    if (!serves(place) || (picked.queued_in & bit_of(place)) == 0) return;
    if (trial() != nullptr) {
        compare_pick(cpu, picked);
        if (!serves(place)) return;
    }
    ask_seldom<&Scheduler::dequeue>(place, kNothing, cpu.view[place], picked.view[place], DequeueReason::Picked);
}

void PolicySlot::migrate(Cpu& from, Cpu& to, Thread& thread) {
    leave_watch(from);
    leave_watch(to);
    const bool was_moved = has_waited_elsewhere(thread);
    if (!was_moved) thread.vigil = {thread.switches, at(from.ruling).tenant};
    from.policy_ready.erase(from.policy_ready.iterator_to(thread));
    from.ready_count = from.ready_count - 1;
    for (uint32_t place = 0; place < Thread::kPolicies; ++place) {
        if (!is_told(place, from.ruling) || (thread.queued_in & bit_of(place)) == 0) continue;
        note_time(place, from);
        ask_seldom<&Scheduler::dequeue>(place, kNothing, from.view[place], thread.view[place], DequeueReason::Migrated);
    }
    thread.queued_in = 0;
    __atomic_store_n(&thread.cpu, to.local.cpu, __ATOMIC_RELEASE);
    enqueue(to, thread, EnqueueReason::Migrated);
    if (!was_moved) return;
    to.policy_ready.erase(to.policy_ready.iterator_to(thread));
    to.policy_ready.push_front(thread);
}

CpuId PolicySlot::select_cpu(const Thread& thread, CpuId waker) {
    CpuId answer = thread.cpu;
    const uint32_t place = ruling_of(thread);
    if (serves(place)) (void)ask<&Scheduler::select_cpu>(place, &answer, thread.view[place], waker);
    return answer;
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

bool PolicySlot::should_preempt(Cpu& cpu, Thread& woken) {
    const uint32_t place = cpu.ruling;
    if (!serves(place) || cpu.view[place].current == nullptr) return false;
    bool answer = false;
    return ask<&Scheduler::should_preempt>(place, &answer, cpu.view[place], woken.view[place]) && answer;
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// PolicySlot: telling the ruling and the mirrored policy what happens, and believing neither blindly. What happens
// seldom is in policy_changes.cpp.

#include "kernel/thread/policy_calls.hpp"

#include "kernel/kernel.hpp"

namespace helix::kernel {

void PolicySlot::enqueue(Cpu& cpu, Thread& thread, EnqueueReason reason) {
    cpu.policy_ready.push_back(thread);
    cpu.ready_count = cpu.ready_count + 1;
    const uint32_t place = cpu.ruling;
    if (__builtin_expect(has_mirror(), 0)) enqueue_in_mirror(other(place), cpu, thread, reason);
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

CpuId PolicySlot::select_cpu(const Thread& thread, CpuId waker) {
    CpuId answer = thread.cpu;
    const uint32_t place = ruling_of(thread);
    if (serves(place)) (void)ask<&Scheduler::select_cpu>(place, &answer, thread.view[place], waker);
    return answer;
}

bool PolicySlot::should_preempt(Cpu& cpu, Thread& woken) {
    const uint32_t place = cpu.ruling;
    if (!serves(place) || cpu.view[place].current == nullptr) return false;
    bool answer = false;
    return ask<&Scheduler::should_preempt>(place, &answer, cpu.view[place], woken.view[place]) && answer;
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// PolicySlot: asking a mirrored policy what it would do, and comparing that with what is done.

#include "kernel/thread/policy_trial.hpp"

#include "kernel/kernel.hpp"
#include "kernel/thread/policy_calls.hpp"

namespace helix::kernel {

void PolicySlot::compare_in(PolicyTrial& trial) {
    threads_.lock_all_cpus();
    if (has_mirror()) trial_ = &trial;
    threads_.unlock_all_cpus();
}

/// `picked` is about to leave the queues. The mirrored policy, which serves and has it in its own, is asked first.
void PolicySlot::compare_pick(Cpu& cpu, const Thread& picked) {
    if (!serves(cpu.ruling)) return;  // the kernel's FIFO picked
    const uint32_t place = other(cpu.ruling);
    SchedulerThread* answer = nullptr;
    if (!ask_seldom<&Scheduler::would_pick>(place, &answer, cpu.view[place])) return;
    const Thread* const other = validated(place, cpu, answer, detail::vtable_offset(&Scheduler::would_pick));
    if (other == nullptr) return;
    PolicyTrial& trial = *this->trial();
    PolicyTrial::Counts& counts = trial.of_cpu[cpu.local.cpu];
    counts.picks = counts.picks + 1;
    if (&cpu.policy_ready.front() != &cpu.policy_ready.back()) counts.choices = counts.choices + 1;
    if (other == &picked) return;
    counts.other_picks = counts.other_picks + 1;
    if (trial.shown() == PolicyTrial::kShown) return;
    const uint32_t number = __atomic_fetch_add(&trial.differences, 1, __ATOMIC_ACQ_REL);
    if (number >= PolicyTrial::kShown) return;
    trial.first[number] = {arch::now_ns(), cpu.local.cpu, picked.id, picked.name, other->id, other->name};
}

void PolicySlot::compare_tick(Cpu& cpu, bool preempts, bool would_preempt) {
    if (!serves(cpu.ruling) || !serves(other(cpu.ruling))) return;
    PolicyTrial::Counts& counts = trial()->of_cpu[cpu.local.cpu];
    counts.ticks = counts.ticks + 1;
    if (preempts != would_preempt) counts.other_ticks = counts.other_ticks + 1;
}

}  // namespace helix::kernel

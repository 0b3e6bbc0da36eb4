// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Timers: what each CPU's timer is set for, ticks, and the budgets that they count; and modules' interrupts.
//
// The timer is set for the earliest of four: the first deadline of the CPU's queue, its next tick, its next look at the
// CPU that it watches (watchdog.cpp), and the end of its patience with a waker (placement.cpp). A CPU that has
// something to run has ticks. One that goes idle takes the tick that is under way, uncounted, and no more until it
// leaves its sleep with something to do.
//
// Only a CPU itself touches its timer: its interrupt handlers at any time, its threads with preemption off.

#include "kernel/kernel.hpp"
#include "kernel/thread/gates.hpp"
#include "kernel/thread/owner.hpp"
#include "kernel/thread/threads.hpp"

namespace helix::kernel {

namespace {

/// What the timer of `cpu` should be set for. A deadline that has passed is no affair of the timer's: preempt() is
/// about to look after it.
uint64_t next_event_ns(const Cpu& cpu, uint64_t now_ns) {
    const uint64_t tick_ns = __atomic_load_n(&cpu.tick_at_ns, __ATOMIC_RELAXED);
    const uint64_t watch_ns = __atomic_load_n(&cpu.watch_at_ns, __ATOMIC_RELAXED);
    const uint64_t deadline_ns = cpu.timers.first_ns();
    uint64_t next_ns = tick_ns < watch_ns ? tick_ns : watch_ns;
    if (deadline_ns > now_ns && deadline_ns < next_ns) next_ns = deadline_ns;
    const uint64_t share_ns = __atomic_load_n(&cpu.share_at_ns, __ATOMIC_RELAXED);
    if (share_ns > now_ns && share_ns < next_ns) next_ns = share_ns;
    return next_ns;
}

}  // namespace

/// Sets the timer of the calling CPU if it is not set early enough.
void Threads::program_timer(Cpu& cpu, uint64_t now_ns) {
    context::require_preemption_off("Threads::program_timer");
    uint64_t next_ns = next_event_ns(cpu, now_ns);
    if (next_ns >= cpu.programmed_ns) return;
    for (;;) {
        cpu.programmed_ns = next_ns;
        arch::set_timer(next_ns);
        // An interrupt in between may have wanted something else, and set it before this did.
        const uint64_t wanted_ns = next_event_ns(cpu, now_ns);
        if (wanted_ns == next_ns) return;
        next_ns = wanted_ns;
    }
}

/// The calling CPU has something to run, or to ask a policy. Preemption off.
void Threads::start_ticks(Cpu& cpu) {
    context::require_preemption_off("Threads::start_ticks");
    if (__atomic_load_n(&cpu.tick_at_ns, __ATOMIC_RELAXED) != arch::kNever) return;
    const uint64_t now_ns = arch::now_ns();
    __atomic_store_n(&cpu.tick_at_ns, now_ns + kTickNs, __ATOMIC_SEQ_CST);
    program_timer(cpu, now_ns);
    ask_to_be_watched(cpu);
}

void Timers::add(Deadline& waiter, uint64_t deadline_ns) {
    const PreemptionGuard no_preemption;
    Cpu& cpu = this_cpu();
    cpu.timers.add(waiter, deadline_ns, cpu.local.cpu);
    if (deadline_ns >= cpu.programmed_ns) return;
    const uint64_t now_ns = arch::now_ns();
    if (deadline_ns <= now_ns) want_reschedule();  // preempt() finds that it has passed
    threads_.program_timer(cpu, now_ns);
}

void Timers::remove(Deadline& waiter) {
    for (;;) {
        const CpuId id = __atomic_load_n(&waiter.timer_cpu, __ATOMIC_ACQUIRE);
        if (id == TimerQueue::kMoving)
            arch::spin_hint();
        else if (threads_.cpu(id).timers.remove(waiter, id))
            return;
    }
}

/// Hands the deadlines of `cpu`, which is leaving, to the boot CPU, which never leaves. Its idle thread; preemption
/// off.
void Threads::give_away_deadlines(Cpu& cpu) {
    bool any = false;
    while (Deadline* const waiter = cpu.timers.take_first()) {
        this->cpu(0).timers.add(*waiter, waiter->deadline_ns, 0);
        any = true;
    }
    if (any) arch::interrupt_cpu(0, arch::CpuInterrupt::Call);  // it looks what its timer should be set for
}

/// Wakes whose time on `cpu`, the calling one, has come, and lets timers of modules signal. No lock is held, and what
/// an interrupt interrupted held none.
void Threads::expire_deadlines(Cpu& cpu, uint64_t now_ns) {
    const auto wake_late = [&](Thread& thread) { wake(thread, WakeReason::TimedOut); };
    for (TimerId due; (due = cpu.timers.expire(now_ns, wake_late)) != TimerId::None;) {
        cpu.signals_due = true;
        kernel_.modules.semaphores().expire(due, now_ns);
        cpu.signals_due = false;
    }
}

void Threads::on_line(TrapFrame& frame, uint32_t line) {
    __atomic_fetch_or(&lines_pending_, 1u << line, __ATOMIC_ACQ_REL);
    // A CPU that leaves may not come by there again: the one that stays does.
    if (this_cpu().leaving) arch::interrupt_cpu(0, arch::CpuInterrupt::Call);
    on_interrupt(frame);
}

/// What expire_deadlines is for times, for interrupts on modules' lines.
void Threads::signal_lines(Cpu& cpu) {
    const uint32_t lines = __atomic_exchange_n(&lines_pending_, 0, __ATOMIC_ACQ_REL);
    cpu.signals_due = true;
    kernel_.modules.lines().signal(lines);
    cpu.signals_due = false;
}

void Threads::on_timer(TrapFrame& frame) {
    if (!handle_timer(frame)) preempt_interrupted(frame);
}

/// True if the interrupted code does not go on where it was, so that there is nothing to preempt.
bool Threads::handle_timer(TrapFrame& frame) {
    const context::Interrupt here;
    Cpu& interrupted = this_cpu();
    const uint64_t now_ns = arch::now_ns();
    interrupted.programmed_ns = arch::kNever;
    const uint64_t tick_ns = interrupted.tick_at_ns;
    const bool was_asleep = interrupted.is_asleep;
    const bool tick = now_ns >= tick_ns && !was_asleep;
    if (now_ns >= tick_ns) {
        // In step with the ticks before, unless some were missed.
        const uint64_t next_ns = tick_ns + kTickNs > now_ns ? tick_ns + kTickNs : now_ns + kTickNs;
        __atomic_store_n(&interrupted.tick_at_ns, was_asleep ? arch::kNever : next_ns, __ATOMIC_SEQ_CST);
    }
    if (now_ns >= interrupted.watch_at_ns) watch(interrupted, now_ns);
    program_timer(interrupted, now_ns);
    if (interrupted.timers.first_ns() <= now_ns || interrupted.share_at_ns <= now_ns) want_reschedule();
    if (tick) {
        __atomic_store_n(&interrupted.ticks, interrupted.ticks + 1, __ATOMIC_RELAXED);  // others read it
        interrupted.tick_pending = 1;
        want_reschedule();
        ask_to_be_watched(interrupted);
        return is_over_budget(frame);
    }
    return false;
}

/// Counts a tick for the module that runs, or whose service does, and against its budget. True if that ended its call.
bool Threads::is_over_budget(TrapFrame& frame) {
    context::require_interrupt("Threads::is_over_budget");
    // Time in a service is the module's that called it; only the kill waits until the service is done.
    Gate* const innermost = current_gate();
    Gate* const gate = module_or_thread_gate(innermost);
    if (gate == nullptr) return false;
    Owner& owner = *owner_of(gate->instance);
    __atomic_fetch_add(&owner.ticks, 1, __ATOMIC_RELAXED);
    if (gate->kind() == GateKind::Thread) return false;  // a module's own threads have no budget
    const bool bounded = gate->kind() == GateKind::Bounded || (gate->preempt_word & ~kNoRescheduleWanted) != 0;
    const uint32_t budget = bounded ? owner.bounded_budget_ticks : owner.call_budget_ticks;
    const uint32_t ticks = ++gate->ticks & Gate::kTicksMask;
    return ticks > budget && end_over_budget(frame, *gate, innermost, ticks - budget);
}

void on_timer(TrapFrame& frame) {
    this_kernel().threads.on_timer(frame);
}
void on_line(TrapFrame& frame, uint32_t line) {
    this_kernel().threads.on_line(frame, line);
}

}  // namespace helix::kernel

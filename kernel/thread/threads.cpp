// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Threads: blocking, waking, switching, holds. The table, creation and ending are in thread_table.cpp.

#include "kernel/thread/threads.hpp"

#include "kernel/kernel.hpp"
#include "kernel/thread/owner.hpp"
#include "kernel/thread/policy_calls.hpp"

#include <utility>

namespace helix::kernel {

namespace {
/// The module whose code the calling thread would run next, if that module was ended; null otherwise.
Gate* ended_gate() {
    Gate* const gate = current_gate();
    if (gate == nullptr || (gate->kind() != GateKind::Module && gate->kind() != GateKind::Thread)) return nullptr;
    return owner_of(gate->instance)->is_ended() ? gate : nullptr;
}
}  // namespace

Threads::Threads(Kernel& kernel) : kernel_(kernel), cpus_(kernel) {}

void Threads::adopt_boot_cpu() {
    early_.preempt_word = kNoRescheduleWanted | 1;
    early_.self = &early_;
    early_.kernel = &kernel_;
    arch::set_cpu_local(&early_);
    boot_cycles_ = arch::cycles();
    boot_ns_ = arch::now_ns();
}

void Threads::renew_cycle_rate() {
    uint64_t cycles = arch::cycles() - boot_cycles_;
    uint64_t ns = arch::now_ns() - boot_ns_;
    while (cycles >> 31 != 0 || ns >> 31 != 0) {
        cycles >>= 1;
        ns >>= 1;
    }
    if (cycles != 0) __atomic_store_n(&ns_per_cycle_, (ns << 31) / cycles, __ATOMIC_RELAXED);
}

ExecutionStatistics Threads::statistics() {
    ExecutionStatistics out{};
    {
        SpinLockGuard guard(table_lock_);
        out.threads = alive_ + cpu_count();  // the idle threads are not in the table
        out.threads_created = created_;
    }
    for (CpuId id = 0; id < cpu_count(); ++id) {
        out.switches += cpu(id).switches;
        out.ticks += cpu(id).ticks;
    }
    out.cpus = static_cast<uint64_t>(__builtin_popcountll(cpus_.online()));
    return out;
}

// ---- What a thread asks for itself or for another.

Result<void> Threads::sleep(uint64_t duration_ns) {
    WaitQueue nobody;
    const WakeReason reason = nobody.wait_until([] { return false; }, deadline_after(duration_ns));
    if (reason == WakeReason::Cancelled) return ErrorCode::Cancelled;
    return {};
}

void Threads::yield() {
    preempt_disable();
    Cpu& cpu = this_cpu();
    cpu.lock.acquire();
    give_way(cpu, EnqueueReason::Yielded);
    preempt_enable();
}

Result<void> Threads::set_priority(ThreadId id, uint32_t priority) {
    if (priority >= kPriorityLevels) return Error(ErrorCode::OutOfRange, "a thread's priority is 0 to 31");
    Thread* const thread = find(id);
    if (thread == nullptr) return Error(ErrorCode::NotFound, "no such thread");
    if (!inheritance_.set_base(*thread, id, priority)) return Error(ErrorCode::NotFound, "no such thread");
    return {};
}

bool Threads::set_base_priority(Thread& thread, ThreadId id, uint32_t priority) {
    bool found = false;
    with_thread_locked(thread, [&] {
        found = thread.id == id && thread.state != ThreadState::Free && thread.state != ThreadState::Ended;
        if (found) thread.base_priority = priority;
    });
    return found;
}

void Threads::set_effective_priority(Thread& thread, uint32_t priority) {
    with_thread_locked(thread, [&] {
        Cpu& home = cpu(thread.cpu);
        home.lock.assert_held();
        const bool falls = priority < thread.priority;
        policy_.set_priority(home, thread, priority);
        if (thread.kind != ThreadClass::Policy) return;
        // Either the thread that runs is no longer the most urgent, or one that waits has become it.
        const bool give_way = thread.state == ThreadState::Running ? falls && home.ready_count != 0
                                                                   : thread.state == ThreadState::Runnable &&
                                                                         home.current->kind == ThreadClass::Policy &&
                                                                         policy_.should_preempt(home, thread);
        if (!give_way) return;
        home.give_way = true;
        ask_reschedule(home);
    });
}

void Threads::wait_console_input() {
    console_input_seen_.wait_until([](bool& seen) { return std::exchange(seen, false); });
}

// ---- Blocking, waking, switching.

void Threads::block() {
    context::require_preemption_off("Threads::block");
    Cpu& cpu = this_cpu();
    cpu.lock.acquire();
    Thread& self = *cpu.current;
    if (self.wake_reason.load(std::memory_order_acquire) == WakeReason::None) {
        self.state = ThreadState::Blocked;
        switch_away(cpu);
    }
    release_after_switch(cpu);
}

bool Threads::wake(Thread& thread, WakeReason reason) {
    context::require_may_spin("Threads::wake");
    WakeReason expected = WakeReason::None;
    if (!thread.wake_reason.compare_exchange_strong(expected, reason)) return false;
    preempt_disable();
    Cpu& here = this_cpu();
    const Haste haste = reason == WakeReason::Signalled ? haste_of_wakeup(here) : Haste::Now;
    if (here.trace.keeps_all())
        here.trace.add(arch::cycles(), TraceKind::Wake, static_cast<uint8_t>(reason), static_cast<uint32_t>(thread.id),
                       static_cast<uint32_t>(here.current->id));
    bool placed = true;
    with_thread_locked(thread, [&] {
        if (thread.state != ThreadState::Blocked) return;  // it sees the reason before it blocks
        Cpu& home = cpu(thread.cpu);
        home.lock.assert_held();
        placed = place(home, thread, EnqueueReason::Woken, haste);
    });
    if (!placed) place_on_its_cpu(thread, EnqueueReason::Woken, haste);
    if (haste == Haste::WhenWakerStays) share_later(here);
    preempt_enable();
    return true;
}

void Threads::make_ready(Cpu& cpu, Thread& thread, EnqueueReason reason, Haste haste) {
    __atomic_store_n(&thread.cpu, cpu.local.cpu, __ATOMIC_RELEASE);
    if (thread.kind == ThreadClass::Kernel) {
        cpu.kernel_ready.push_back(thread);
        if (cpu.current->kind != ThreadClass::Kernel) cpu.give_way = true;
    } else {
        policy_.enqueue(cpu, thread, reason);
        const bool arrived = reason == EnqueueReason::Created || reason == EnqueueReason::Woken;
        if (cpu.current->kind == ThreadClass::Idle ||
            (arrived && cpu.current->kind == ThreadClass::Policy && policy_.should_preempt(cpu, thread)))
            cpu.give_way = true;
    }
    if (cpu.give_way) {
        if (cpu.current->kind == ThreadClass::Idle) cpus_.clear_idle(cpu.local.cpu);  // it has something to do
        ask_reschedule(cpu);
    }
    // It has time for one of them at most.
    const bool has_time = cpu.give_way || (haste == Haste::WhenWakerStays && &cpu == &this_cpu());
    if (thread.kind == ThreadClass::Policy && cpu.ready_count > (has_time ? 1u : 0u)) wake_idle_cpu(cpu);
}

/// `cpu` looks for another thread as soon as it can. Preemption off.
void Threads::ask_reschedule(Cpu& cpu) {
    if (&cpu == &this_cpu())
        want_reschedule();
    else
        arch::interrupt_cpu(cpu.local.cpu, arch::CpuInterrupt::Call);
}

void Threads::give_way(Cpu& cpu, EnqueueReason reason) {
    Thread& self = *cpu.current;
    account(cpu, self);
    self.state = ThreadState::Runnable;
    Thread* to;
    if (__builtin_expect(self.kind == ThreadClass::Policy && !cpu.leaving && cpu.kernel_ready.empty(), 1)) {
        to = &policy_.yield(cpu, self, reason);
        if (cpu.ready_count != 0) wake_idle_cpu(cpu);  // as many wait as before
    } else {
        if (self.kind == ThreadClass::Policy) {
            policy_.enqueue(cpu, self, reason);
            wake_idle_cpu(cpu);
        } else if (self.kind == ThreadClass::Kernel) {
            cpu.kernel_ready.push_back(self);
        }
        to = &pick(cpu);
    }
    switch_to(cpu, self, *to, reason == EnqueueReason::Yielded ? TraceSwitch::Yielded : TraceSwitch::Preempted);
    release_after_switch(cpu);
}

Thread& Threads::pick(Cpu& cpu) {
    if (cpu.leaving) {
        if (cpu.evicts) cpu.leaving = cpu.evicts = false;
        return *cpu.idle;
    }
    if (!cpu.kernel_ready.empty()) {
        Thread& thread = cpu.kernel_ready.front();
        cpu.kernel_ready.pop_front();
        return thread;
    }
    Thread* const thread = policy_.pick(cpu);
    return thread != nullptr ? *thread : *cpu.idle;
}

void Threads::switch_away(Cpu& cpu) {
    Thread& self = *cpu.current;
    account(cpu, self);
    if (self.kind == ThreadClass::Policy) policy_.block(cpu, self);
    Thread& to = pick(cpu);
    switch_to(cpu, self, to, self.state == ThreadState::Ended ? TraceSwitch::Ended : TraceSwitch::Blocked);
}

/// The CPU time of `self`, which runs on `cpu`, up to now, which is returned in cycles.
inline __attribute__((always_inline)) uint64_t Threads::take_time(Cpu& cpu, Thread& self) {
    const uint64_t now = arch::cycles();
    self.runtime_ns += cycles_to_ns(now - cpu.switched_at_cycles);
    cpu.switched_at_cycles = now;
    if (self.kind == ThreadClass::Policy)
        for (SchedulerThread& view : self.view) view.runtime_ns = self.runtime_ns;
    return now;
}

void Threads::take_time_of_current(Cpu& cpu) {
    // Counters of two CPUs may differ a little: not back before the last time.
    if (arch::cycles() > cpu.switched_at_cycles) take_time(cpu, *cpu.current);
}

/// `self` ran on `cpu` until now. Before the policy is asked, so that it knows.
inline __attribute__((always_inline)) void Threads::account(Cpu& cpu, Thread& self) {
    const uint64_t now = take_time(cpu, self);
    if (self.woke_at_cycles != 0) {
        if (self.state == ThreadState::Blocked) self.goes_on = cycles_to_ns(now - self.woke_at_cycles) > kShareNs;
        self.woke_at_cycles = 0;
    }
}

/// `to`, which is in no queue any more, runs from now on instead of `self`. Returns when that runs again, perhaps on
/// another CPU, whose lock is held then.
inline __attribute__((always_inline)) void Threads::switch_to(Cpu& cpu, Thread& self, Thread& to, TraceSwitch why) {
    cpu.give_way = false;
    to.state = ThreadState::Running;
    if (&to == &self) return;
    ++cpu.switches;
    ++to.switches;
    cpu.trace.add(cpu.switched_at_cycles, TraceKind::Switch, static_cast<uint8_t>(why), static_cast<uint32_t>(to.id),
                  static_cast<uint32_t>(self.id));
    cpu.previous = &self;
    cpu.current = &to;
    policy_.set_current(cpu, to);
    self.gate = cpu.local.gate;
    cpu.local.gate = to.gate;
    cpu.local.thread = &to;
    arch::context_switch(self.context, to.context);
    finish_switch();
}

void Threads::finish_switch() {
    Cpu& cpu = this_cpu();
    cpu.lock.assert_held();
    if (cpu.previous->state != ThreadState::Ended) return;
    cpu.ended.push_back(*cpu.previous);
    cpu.reap_pending = 1;
    want_reschedule();
}

// ---- Preemption.

void Threads::on_interrupt(TrapFrame& frame) {
    {
        const context::Interrupt here;
        want_reschedule();
    }
    preempt_interrupted(frame);
}

/// At the end of an interrupt's handler: other threads may run now if the interrupted one had preemption on.
void Threads::preempt_interrupted(TrapFrame& frame) {
    if (preempt_count() != 1 || in_bounded_call()) return;
    preempt();
    if (Gate* const ended = ended_gate()) {
        leave_gate(*ended);
        arch::trap_resume_at_gate(frame, *ended, GateFailure::Killed);
    }
}

void Threads::on_console_input() {
    {
        const context::Interrupt here;
        this_cpu().input_pending = 1;
        want_reschedule();
    }
    if (preempt_count() == 1 && !in_bounded_call()) preempt();
}

void Threads::preempt() {
    context::require_preemption_off("Threads::preempt");
    context::require_may_spin("Threads::preempt");
    do {
        clear_reschedule();
        if (__builtin_expect(this_cpu().misplaced != nullptr, 0)) move_misplaced(this_cpu());
        Cpu& asked = this_cpu();
        start_ticks(asked);
        asked.work.run(asked.local.cpu);
        // Looked at first: mostly nothing is pending, and an exchange is dear.
        const auto take = [](uint32_t& flag) {
            return __atomic_load_n(&flag, __ATOMIC_RELAXED) != 0 &&
                   __atomic_exchange_n(&flag, 0, __ATOMIC_ACQ_REL) != 0;
        };
        if (take(asked.input_pending)) console_input_seen_.wake_all([](bool& seen) { seen = true; });
        if (__atomic_load_n(&lines_pending_, __ATOMIC_RELAXED) != 0) signal_lines(asked);
        if (take(asked.failure_pending)) wake_supervisor();
        if (take(asked.reap_pending)) reap_requested_.wake_all([](bool& wanted) { wanted = true; });
        const bool tick = take(asked.tick_pending);
        const uint64_t now = arch::now_ns();
        if (tick) renew_cycle_rate();
        if (tick && !pull_more_urgent(asked) && asked.ticks % kBalanceTicks == 0 &&
            asked.current->kind != ThreadClass::Idle)
            (void)pull_work(asked, 2);
        if (tick && asked.ready_count != 0) wake_idle_cpu(asked);  // they sleep until somebody says so
        if (asked.share_at_ns <= now) share_work(asked, now);
        if (__atomic_load_n(&asked.watch_wanted, __ATOMIC_RELAXED) != 0) begin_to_watch(asked, now);
        if (asked.timers.first_ns() <= now) expire_deadlines(asked, now);
        program_timer(asked, now);

        Cpu& cpu = this_cpu();
        cpu.lock.acquire();
        Thread& self = *cpu.current;
        bool wanted = cpu.give_way || (self.kind != ThreadClass::Kernel && !cpu.kernel_ready.empty());
        if (tick && self.kind == ThreadClass::Kernel) wanted |= !cpu.kernel_ready.empty();
        if (tick && self.kind == ThreadClass::Policy) {
            take_time(cpu, self);
            wanted |= policy_.tick(cpu, now);
        }
        wanted |= cpu.leaving;
        if (self.kind == ThreadClass::Idle)
            wanted = !cpu.leaving && (!cpu.kernel_ready.empty() || !cpu.policy_ready.empty());
        if (wanted)
            give_way(cpu, EnqueueReason::Preempted);
        else
            cpu.lock.release();
    } while (reschedule_wanted());
}

void Threads::reschedule() {
    if (in_bounded_call()) return;  // it asks again when it has returned
    preempt_disable();
    this_kernel().threads.preempt();
    preempt_enable_quietly();
    if (Gate* const ended = ended_gate()) {
        leave_gate(*ended);
        arch::gate_resume(*ended, GateFailure::Killed);
    }
}

// ---- Holds.

void Threads::lock_all_cpus() HELIX_NO_THREAD_SAFETY_ANALYSIS {
    preempt_disable();
    for (CpuId id = 0; id < cpu_count(); ++id) cpu(id).lock.acquire();
}

void Threads::unlock_all_cpus() HELIX_NO_THREAD_SAFETY_ANALYSIS {
    for (size_t id = cpu_count(); id-- > 0;) cpu(static_cast<CpuId>(id)).lock.release();
    preempt_enable();
}

void on_interrupt(TrapFrame& frame) {
    this_kernel().threads.on_interrupt(frame);
}
void on_console_input(TrapFrame&) {
    this_kernel().threads.on_console_input();
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Threads: creation, blocking, waking, switching, ending.

#include "kernel/thread/threads.hpp"

#include "kernel/kernel.hpp"
#include "kernel/memory/mapped_memory.hpp"
#include "kernel/panic.hpp"
#include "kernel/thread/owner.hpp"
#include "kernel/thread/policy_calls.hpp"

#include <new>

namespace helix::kernel {

namespace {
constexpr size_t kTableChunkPages = 16;

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

Result<void> Threads::init(size_t cpu_count, size_t stack_bytes) {
    TRY(cpus_.init(cpu_count));
    cpus_.adopt(0);
    cpus_.join(cpu(0));
    stack_pages_ = (stack_bytes + kPageSize - 1) / kPageSize;
    const size_t pages = (kMaximumThreads * sizeof(Thread) + kPageSize - 1) / kPageSize + kTableChunkPages;
    table_ = static_cast<Thread*>(TRY(kernel_.region.reserve(pages)));
    return {};
}

// ---- The table.

Result<Thread*> Threads::allocate_thread() {
    SpinLockGuard guard(table_lock_);
    Thread* thread = nullptr;
    if (!free_.empty()) {
        thread = &free_.front();
        free_.pop_front();
    } else {
        if (used_ == kMaximumThreads) return Error(ErrorCode::OutOfMemory, "too many threads");
        while ((used_ + 1) * sizeof(Thread) > mapped_ * kPageSize) {
            TRY(map_at(kernel_.memory, reinterpret_cast<uint8_t*>(table_) + mapped_ * kPageSize, kTableChunkPages));
            mapped_ += kTableChunkPages;
        }
        thread = new (&table_[used_]) Thread();
        thread->id = static_cast<ThreadId>(used_ + 1 - kMaximumThreads);  // the first use adds kMaximumThreads
        ++used_;
        __atomic_store_n(&used_unlocked_, used_, __ATOMIC_RELEASE);
    }
    uint32_t id = static_cast<uint32_t>(thread->id) + kMaximumThreads;
    if (id == 0) id += kMaximumThreads;
    thread->id = static_cast<ThreadId>(id);
    ++alive_;
    ++created_;
    return thread;
}

void Threads::release_thread(Thread& thread) {
    SpinLockGuard guard(table_lock_);
    thread.state = ThreadState::Free;
    free_.push_front(thread);
    --alive_;
}

Thread* Threads::find(ThreadId id) {
    if (id == ThreadId::None) return nullptr;
    const size_t position = (static_cast<uint32_t>(id) - 1) % kMaximumThreads;
    SpinLockGuard guard(table_lock_);
    if (position >= used_) return nullptr;
    Thread& thread = table_[position];
    return thread.id == id && thread.state != ThreadState::Free ? &thread : nullptr;
}

FixedText<29> Threads::name_of(ThreadId id) const {
    if (id == ThreadId::None) return "idle";
    const size_t position = (static_cast<uint32_t>(id) - 1) % kMaximumThreads;
    if (position >= __atomic_load_n(&used_unlocked_, __ATOMIC_ACQUIRE) || table_[position].id != id) return {};
    return table_[position].name;
}

size_t Threads::snapshot(size_t& position, Span<ThreadSnapshot> out) {
    size_t count = 0;
    const size_t limit = __atomic_load_n(&used_unlocked_, __ATOMIC_ACQUIRE);
    while (position < limit && count < out.size()) {
        Thread& thread = table_[position++];
        with_thread_locked(thread, [&] {
            if (thread.state == ThreadState::Free || thread.state == ThreadState::Ended) return;
            uint64_t runtime_ns = thread.runtime_ns;
            if (thread.state == ThreadState::Running)
                runtime_ns += cycles_to_ns(arch::cycles() - cpu(thread.cpu).switched_at_cycles);
            out[count++] = {thread.id,       thread.name, thread.state, thread.kind,     thread.base_priority,
                            thread.priority, thread.cpu,  runtime_ns,   thread.switches, thread.owner};
        });
    }
    return count;
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

// ---- A thread's life.

Result<ThreadId> Threads::create(Text name, void (*entry)(void*), void* argument, ThreadOptions options) {
    if (options.priority >= kPriorityLevels) return Error(ErrorCode::OutOfRange, "a thread's priority is 0 to 31");
    if (options.owner != nullptr && options.owner->is_ended()) return ErrorCode::Cancelled;
    const size_t pages = options.kind == ThreadClass::Kernel ? 2 * stack_pages_ : stack_pages_;
    void* const stack = TRY(map_pages(kernel_.memory, pages, 1, arch::Protection::ReadWrite));
    auto allocated = allocate_thread();
    if (!allocated.ok()) {
        unmap_pages(kernel_.memory, stack);
        return allocated.error();
    }
    Thread& thread = *allocated.value();
    const ThreadId id = thread.id;
    thread.kind = options.kind;
    thread.name.assign(name.substr(0, thread.name.capacity()));
    thread.entry = entry;
    thread.argument = argument;
    thread.owner = options.owner;
    thread.stack = {static_cast<uint8_t*>(stack), pages * kPageSize};
    thread.base_priority = thread.priority = options.priority;
    thread.gate = nullptr;
    thread.runtime_ns = 0;
    thread.switches = 0;
    thread.woke_at_cycles = 0;
    thread.goes_on = false;
    thread.queued_in = 0;
    thread.wake_reason = WakeReason::Signalled;
    thread.cancelled = false;
    thread.cancellable = false;
    thread.waits_in = nullptr;
    thread.kernel_call = nullptr;
    __atomic_store_n(&thread.cpu, current_cpu(), __ATOMIC_RELEASE);
    for (SchedulerThread& view : thread.view)
        view = SchedulerThread{id, options.priority, ~uint64_t{0}, 0, thread.cpu, 0, {}};
    if (options.owner != nullptr) __atomic_fetch_add(&options.owner->threads, 1, __ATOMIC_ACQ_REL);
    Trace::note(TraceKind::Thread, 0, static_cast<uint32_t>(id), static_cast<uint32_t>(current_thread().id), 0,
                thread.name.text());
    arch::context_announce(thread.context, thread.stack);
    arch::context_create(thread.context, thread.stack, thread_main, &thread);

    preempt_disable();
    Cpu& home = cpu(thread.cpu);
    home.lock.acquire();
    // Whoever ended the owner meanwhile may have passed this thread by.
    if (options.owner != nullptr && options.owner->is_ended()) thread.cancelled = true;
    thread.state = ThreadState::Blocked;
    const bool placed = place(home, thread, EnqueueReason::Created, Haste::Now);
    home.lock.release();
    if (!placed) place_on_its_cpu(thread, EnqueueReason::Created, Haste::Now);
    preempt_enable();
    return id;
}

void Threads::thread_main(void* argument) {
    Thread& self = *static_cast<Thread*>(argument);
    Threads& threads = this_kernel().threads;
    threads.finish_switch();
    this_cpu().lock.release();
    preempt_enable();
    if (self.owner == nullptr) {
        self.entry(self.argument);
    } else {
        // A failure inside was noted where it happened; here the thread only ends.
        (void)detail::gate_call_words<GateKind::Thread, void>(token_of(self.owner), reinterpret_cast<void*>(self.entry),
                                                              self.argument, nullptr);
        if (preempt_count() != 0) restore_preempt_count(0);
    }
    threads.exit();
}

void Threads::exit() {
    lock_order::require_no_sleeping("Threads::exit");
    preempt_disable();
    Cpu& cpu = this_cpu();
    cpu.lock.acquire();
    cpu.current->state = ThreadState::Ended;
    switch_away(cpu);
    panic("an ended thread ran again");
}

Result<void> Threads::start_reaper() {
    renew_cycle_rate();
    TRY(create("reaper", reaper_main, this, {.kind = ThreadClass::Kernel}));
    return {};
}

/// Gives back what ended threads leave: one kernel thread for all CPUs.
void Threads::reaper_main(void* argument) {
    auto& threads = *static_cast<Threads*>(argument);
    for (;;) {
        threads.reaper_wanted_.wait_until([&] {
            const bool wanted = threads.reap_requested_;
            threads.reap_requested_ = false;
            return wanted;
        });
        threads.reap();
    }
}

void Threads::reap() {
    for (CpuId id = 0; id < cpu_count(); ++id) {
        for (;;) {
            preempt_disable();
            Cpu& ran_on = cpu(id);
            ran_on.lock.acquire();
            Thread* const thread = ran_on.ended.empty() ? nullptr : &ran_on.ended.front();
            if (thread != nullptr) ran_on.ended.pop_front();
            ran_on.lock.release();
            preempt_enable();
            if (thread == nullptr) break;
            arch::context_retire(thread->context);
            unmap_pages(kernel_.memory, thread->stack.data());
            Owner* const owner = thread->owner;
            ended_.wake_all([&] {
                release_thread(*thread);
                if (owner != nullptr) __atomic_fetch_sub(&owner->threads, 1, __ATOMIC_ACQ_REL);
            });
        }
    }
}

Result<void> Threads::join(ThreadId id, uint64_t timeout_ns) {
    switch (ended_.wait_until([&] { return find(id) == nullptr; }, deadline_after(timeout_ns))) {
        case WakeReason::TimedOut: return ErrorCode::TimedOut;
        case WakeReason::Cancelled: return ErrorCode::Cancelled;
        default: return {};
    }
}

Result<void> Threads::wait_threads_of(const Owner& owner, uint64_t timeout_ns) {
    const WakeReason reason =
        ended_.wait_until([&] { return count_threads_of(owner) == 0; }, deadline_after(timeout_ns), Cancellable::No);
    if (reason == WakeReason::TimedOut) return ErrorCode::TimedOut;
    return {};
}

size_t Threads::count_threads_of(const Owner& owner) {
    return __atomic_load_n(&owner.threads, __ATOMIC_ACQUIRE);
}

void Threads::cancel_threads_of(Owner& owner) {
    for_each_locked([&](Thread& thread) {
        if (thread.owner == &owner) thread.cancelled = true;
    });
    // Waking takes the CPU lock itself, so it happens outside for_each_locked.
    const size_t limit = __atomic_load_n(&used_unlocked_, __ATOMIC_ACQUIRE);
    for (size_t position = 0; position < limit; ++position) {
        Thread& thread = table_[position];
        if (thread.owner == &owner && thread.cancelled && thread.cancellable) wake(thread, WakeReason::Cancelled);
    }
    end_waits_in(owner);
}

void Threads::end_waits_in(Owner& owner) {
    const size_t limit = __atomic_load_n(&used_unlocked_, __ATOMIC_ACQUIRE);
    for (size_t position = 0; position < limit; ++position) {
        Thread& thread = table_[position];
        if (thread.waits_in == &owner && wait_is_over(thread) && thread.cancellable)
            wake(thread, WakeReason::Cancelled);
    }
}

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
    console_input_.wait_until([&] {
        const bool seen = console_input_seen_;
        console_input_seen_ = false;
        return seen;
    });
}

// ---- Blocking, waking, switching.

void Threads::block() {
    Cpu& cpu = this_cpu();
    cpu.lock.acquire();
    Thread& self = *cpu.current;
    if (self.wake_reason.load(std::memory_order_acquire) == WakeReason::None) {
        self.state = ThreadState::Blocked;
        switch_away(cpu);
    }
    this_cpu().lock.release();
}

bool Threads::wake(Thread& thread, WakeReason reason) {
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
        placed = place(cpu(thread.cpu), thread, EnqueueReason::Woken, haste);
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
    this_cpu().lock.release();
}

Thread& Threads::pick(Cpu& cpu) {
    if (cpu.leaving) return *cpu.idle;
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
    Thread& to = pick(cpu);
    switch_to(cpu, self, to, self.state == ThreadState::Ended ? TraceSwitch::Ended : TraceSwitch::Blocked);
}

/// `self` ran on `cpu` until now. Before the policy is asked, so that it knows.
inline __attribute__((always_inline)) void Threads::account(Cpu& cpu, Thread& self) {
    const uint64_t now = arch::cycles();
    self.runtime_ns += cycles_to_ns(now - cpu.switched_at_cycles);
    cpu.switched_at_cycles = now;
    if (self.kind == ThreadClass::Policy)
        for (SchedulerThread& view : self.view) view.runtime_ns = self.runtime_ns;
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
    if (cpu.previous->state != ThreadState::Ended) return;
    cpu.ended.push_back(*cpu.previous);
    cpu.reap_pending = 1;
    want_reschedule();
}

// ---- Preemption.

void Threads::on_interrupt(TrapFrame& frame) {
    want_reschedule();
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
    this_cpu().input_pending = 1;
    want_reschedule();
    if (preempt_count() == 1 && !in_bounded_call()) preempt();
}

void Threads::preempt() {
    do {
        clear_reschedule();
        Cpu& asked = this_cpu();
        start_ticks(asked);
        cpus_.do_work(asked);
        const auto take = [](uint32_t& flag) { return __atomic_exchange_n(&flag, 0, __ATOMIC_ACQ_REL) != 0; };
        if (take(asked.input_pending)) console_input_.wake_all([&] { console_input_seen_ = true; });
        if (take(asked.failure_pending)) wake_supervisor();
        if (take(asked.reap_pending)) reaper_wanted_.wake_all([&] { reap_requested_ = true; });
        const bool tick = take(asked.tick_pending);
        const uint64_t now = arch::now_ns();
        if (tick) renew_cycle_rate();
        if (tick && asked.ticks % kBalanceTicks == 0 && asked.current->kind != ThreadClass::Idle)
            (void)pull_work(asked, 2);
        if (tick && asked.ready_count != 0) wake_idle_cpu(asked);  // they sleep until somebody says so
        if (asked.share_at_ns <= now) share_work(asked, now);
        if (__atomic_load_n(&asked.watch_wanted, __ATOMIC_RELAXED) != 0) begin_to_watch(asked, now);
        if (asked.timers.first_ns() <= now)
            asked.timers.expire(now, [&](Thread& thread) { wake(thread, WakeReason::TimedOut); });
        program_timer(asked, now);

        Cpu& cpu = this_cpu();
        cpu.lock.acquire();
        Thread& self = *cpu.current;
        bool wanted = cpu.give_way || (self.kind != ThreadClass::Kernel && !cpu.kernel_ready.empty());
        if (tick && self.kind == ThreadClass::Kernel) wanted |= !cpu.kernel_ready.empty();
        if (tick && self.kind == ThreadClass::Policy) wanted |= policy_.tick(cpu, now);
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

void Threads::lock_all_cpus() {
    preempt_disable();
    for (CpuId id = 0; id < cpu_count(); ++id) cpu(id).lock.acquire();
}

void Threads::unlock_all_cpus() {
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

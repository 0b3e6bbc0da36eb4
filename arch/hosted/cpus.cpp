// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The CPUs of a hosted machine: their pthreads, starting, stopping and interrupting them.
//
// All pthreads are there from the start and sleep until their CPU is wanted. A CPU stops by a switch from wherever it
// is to its pthread's own context (`Cpu::leave`), by itself (stop_cpu) or because another one stops the machine: then a
// signal makes it look (must_stop).
#include "arch/hosted/port.hpp"

#include "helix/format.hpp"

#include <errno.h>
#include <linux/futex.h>
#include <unistd.h>

namespace helix::arch {

using namespace hosted;

namespace {

/// For answers that a busy host may delay.
constexpr uint64_t kPatienceNs = 10'000'000'000;
/// How long halt_other_cpus waits: what it is called for should be told even if a CPU does not stop.
constexpr uint64_t kHaltPatienceNs = 1'000'000'000;
constexpr uint64_t kFutexWaitNs = 10'000'000;

void wait_for_change(const uint32_t& word, uint32_t value, const timespec* timeout) {
    system_call(SYS_futex, word_of(&word), FUTEX_WAIT_PRIVATE, value, word_of(timeout));
}

void state_changed(Cpu& cpu) {
    system_call(SYS_futex, word_of(&cpu.state), FUTEX_WAKE_PRIVATE, 0x7fffffff);
}

uint32_t state_of(const Cpu& cpu) {
    return __atomic_load_n(&cpu.state, __ATOMIC_SEQ_CST);
}

bool change_state(Cpu& cpu, uint32_t from, uint32_t to) {
    const bool done = __atomic_compare_exchange_n(&cpu.state, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    if (done) state_changed(cpu);
    return done;
}

}  // namespace

void hosted::send(const Cpu& cpu, int signal) {
    const uint32_t tid = __atomic_load_n(&cpu.tid, __ATOMIC_ACQUIRE);
    if (tid == 0) return;
    uint64_t deadline = 0;
    for (;;) {
        if (system_call(SYS_tgkill, cpu.port->process, tid, static_cast<uint64_t>(signal)) != -EAGAIN) return;
        const uint64_t now = host_now_ns();
        if (deadline == 0) deadline = now + kPatienceNs;
        if (now > deadline) fatal("the host queues no more signals (ulimit -i)");
        system_call(SYS_sched_yield);
    }
}

namespace {

/// The first code on a boot stack.
void boot_entry(void* argument) {
    Cpu& cpu = *static_cast<Cpu*>(argument);
    if (cpu.port->booted) kernel::cpu_main(cpu.index);
    cpu.port->booted = true;
    kernel::kernel_main(cpu.port->boot);
}

/// False when the machine ends.
bool wait_for_start(Cpu& cpu) {
    for (;;) {
        const uint32_t state = state_of(cpu);
        if ((state & kMachineEnding) != 0) return false;
        if (state == kCpuStarting) return true;
        wait_for_change(cpu.state, state, nullptr);
    }
}

/// From a start of the CPU to its stop.
void run(Cpu& cpu) {
    set_gs(*cpu.port, &cpu.early);
    cpu_prepare(cpu);
    traps_enter(cpu);
    cpu.leave.sanitizer = &cpu.leave_stack;
    cpu.running = &cpu.leave_stack;
    const bool wanted = change_state(cpu, kCpuStarting, kCpuRunning);
    if (wanted) {
        cpu.inside = true;
        // Who halts the others first says so and then looks at their states: one of us sees the other.
        if (!must_stop(cpu)) context_switch(cpu.leave, cpu.boot);
        cpu.inside = false;
    }
    helix_hosted_cpu = &cpu;        // under replay another CPU may have come here
    set_gs(*cpu.port, &cpu.early);  // the kernel's may be gone
    cpu.early.preempt_word = kNoRescheduleWanted | 1;
    traps_leave();
    timer_end(cpu);
    traps_leave();  // nothing may be left of that timer
    context_retire(cpu.boot);
    if (!wanted) return;
    __atomic_fetch_and(&cpu.state, kMachineEnding, __ATOMIC_SEQ_CST);
    state_changed(cpu);
}

void* cpu_thread(void* argument) {
    Cpu& cpu = *static_cast<Cpu*>(argument);
    helix_hosted_cpu = &cpu;
    __atomic_store_n(&cpu.tid, static_cast<uint32_t>(system_call(SYS_gettid)), __ATOMIC_RELEASE);
    sanitizer_adopt(cpu);
    while (wait_for_start(cpu)) run(cpu);
    helix_hosted_cpu = nullptr;
    return nullptr;
}

void end_machine(Port& port) {
    for (uint32_t i = 0; i < port.cpu_count; ++i) {
        __atomic_fetch_or(&port.cpus[i].state, kMachineEnding, __ATOMIC_SEQ_CST);
        state_changed(port.cpus[i]);
    }
}

/// Leaves the console to another CPU, if this one was in charge of it. Its state says already that it goes: of two that
/// stop at the same time one sees the other's.
void pass_console_on(Cpu& cpu) {
    Port& port = *cpu.port;
    for (uint32_t i = 0; i < port.cpu_count; ++i) {
        if (__atomic_load_n(&port.console_cpu, __ATOMIC_SEQ_CST) != cpu.index) return;
        if (i == cpu.index || state_of(port.cpus[i]) != kCpuRunning) continue;
        __atomic_store_n(&port.console_cpu, i, __ATOMIC_SEQ_CST);
        if (state_of(port.cpus[i]) == kCpuRunning) return;
        __atomic_store_n(&port.console_cpu, cpu.index, __ATOMIC_SEQ_CST);
    }
}

}  // namespace

Result<void> hosted::cpus_create(Port& port) {
    // The process's signals are for the caller's threads: CPUs begin with everything blocked.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    __atomic_store_n(&port.cpus[0].state, kCpuStarting, __ATOMIC_RELEASE);
    int error = 0;
    // The boot CPU last: the kernel runs from then on.
    for (uint32_t i = port.replay.on ? 1 : port.cpu_count; error == 0 && i-- > 0;) {
        error = pthread_create(&port.cpus[i].pthread, nullptr, cpu_thread, &port.cpus[i]);
        port.cpus[i].has_pthread = error == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (error == 0) return {};
    end_machine(port);
    cpus_join(port);
    return Error(ErrorCode::OutOfMemory, "the host starts no thread for a CPU");
}

void hosted::cpus_join(Port& port) {
    for (uint32_t i = 0; i < port.cpu_count; ++i)
        if (port.cpus[i].has_pthread) pthread_join(port.cpus[i].pthread, nullptr);
}

void hosted::cpu_prepare(Cpu& cpu) {
    cpu.early = {};
    cpu.early.preempt_word = kNoRescheduleWanted | 1;
    cpu.early.cpu = cpu.index;
    cpu.early.self = &cpu.early;
    cpu.early.kernel = cpu.kernel;
    cpu.local = nullptr;
    cpu.fault_depth = 0;
    cpu.unstoppable = 0;
    cpu.deadline_ns = kNever;
    cpu.idle = false;
    __atomic_store_n(&cpu.pending, 0, __ATOMIC_RELAXED);
    context_announce(cpu.boot, cpu.boot_stack);
    context_create(cpu.boot, cpu.boot_stack, boot_entry, &cpu);
}

void hosted::cpu_leave() {
    preempt_disable();
    block_all_signals();
    Cpu& cpu = *this_cpu();
    cpu.inside = false;
    ThreadContext abandoned;
    context_switch(abandoned, cpu.leave);
    __builtin_unreachable();
}

void hosted::stop_if_asked(Port& port) {
    if (__builtin_expect((__atomic_load_n(&port.powering_off, __ATOMIC_RELAXED) |
                          __atomic_load_n(&port.halting_cpu, __ATOMIC_RELAXED)) == 0,
                         1))
        return;
    preempt_disable();
    const Cpu& cpu = *this_cpu();
    if (must_stop(cpu) && cpu.unstoppable == 0) cpu_leave();
    preempt_lower();
}

void hosted::HostCall::end(Cpu& cpu) {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&cpu.unstoppable, cpu.unstoppable - 1, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (__builtin_expect(cpu.unstoppable == 0 && must_stop(cpu), 0)) cpu_leave();
}

uint32_t hosted::take_pending(Cpu& cpu, uint32_t which) {
    const uint32_t pending = __atomic_load_n(&cpu.pending, __ATOMIC_RELAXED) & which;
    if (pending == 0) return 0;
    const uint32_t bit = pending & (~pending + 1);
    return __atomic_fetch_and(&cpu.pending, ~bit, __ATOMIC_ACQ_REL) & bit;
}

bool hosted::take_line(Port& port, uint32_t line) {
    const uint32_t bit = 1u << line;
    // Whoever enables a line does so first and then looks whether its signal has come; here it is the other way round.
    __atomic_fetch_or(&port.lines_latched, bit, __ATOMIC_SEQ_CST);
    if ((__atomic_fetch_and(&port.lines_enabled, ~bit, __ATOMIC_SEQ_CST) & bit) == 0) return false;
    __atomic_fetch_and(&port.lines_latched, ~bit, __ATOMIC_SEQ_CST);
    return true;
}

namespace {
/// One of the lines whose signals came where the kernel could not be told; the next one when this is done.
void deliver_line(Cpu& cpu, kernel::TrapFrame& frame) {
    Port& port = *cpu.port;
    const uint32_t latched =
        __atomic_load_n(&port.lines_latched, __ATOMIC_SEQ_CST) & __atomic_load_n(&port.lines_enabled, __ATOMIC_SEQ_CST);
    if (latched == 0) return;
    if ((latched & (latched - 1)) != 0) __atomic_fetch_or(&cpu.pending, kPendingLine, __ATOMIC_RELAXED);
    const auto line = static_cast<uint32_t>(__builtin_ctz(latched));
    if (take_line(port, line)) kernel::on_line(frame, line);
}
}  // namespace

void hosted::deliver_pending() {
    for (;;) {
        preempt_disable();
        Cpu& cpu = *this_cpu();
        // Before the kernel knows this CPU nothing is for it.
        const uint32_t kind =
            cpu.local == nullptr ? 0 : take_pending(cpu, kPendingCall | kPendingWatchdog | kPendingTick | kPendingLine);
        if (kind != 0) {
            kernel::TrapFrame frame{nullptr, 1};
            if (kind == kPendingCall) kernel::on_interrupt(frame);
            if (kind == kPendingWatchdog) kernel::on_watchdog(frame);
            if (kind == kPendingTick && (cpu.port->replay.on || timer_is_due(cpu))) kernel::on_timer(frame);
            if (kind == kPendingLine) deliver_line(cpu, frame);
            // The thread may have been away, and this be another CPU by now.
            if (frame.gate != nullptr) gate_resume(*frame.gate, frame.failure);
        }
        preempt_lower();
        if (kind == 0) return;
    }
}

void hosted::block_all_signals() {
    const uint64_t all = ~0ull;
    system_call(SYS_rt_sigprocmask, SIG_SETMASK, word_of(&all), 0, sizeof(all));
}

Result<void> start_cpu(CpuId id) {
    Port& port = this_port();
    if (id >= port.cpu_count) return Error(ErrorCode::InvalidArgument, "the machine has no such CPU");
    Cpu& cpu = port.cpus[id];
    constexpr auto kLate = [] { return Error(ErrorCode::TimedOut, "the CPU does not answer"); };
    void* const kernel = cpu_local()->kernel;
    if (__atomic_load_n(&port.halting_cpu, __ATOMIC_SEQ_CST) != 0) return kLate();
    if (port.replay.on) {
        if (state_of(cpu) != kCpuOff) return kLate();
        cpu.kernel = kernel;
        return replay_start_cpu(port, cpu);
    }
    const uint64_t deadline = host_now_ns() + kPatienceNs;
    const timespec step{0, kFutexWaitNs};
    for (;;) {  // it may be on its way out still
        const uint32_t state = state_of(cpu);
        if (state == kCpuOff) break;
        if (host_now_ns() > deadline || (state & kMachineEnding) != 0) return kLate();
        wait_for_change(cpu.state, state, &step);
    }
    cpu.kernel = kernel;
    if (!change_state(cpu, kCpuOff, kCpuStarting)) return kLate();
    while (state_of(cpu) == kCpuStarting && host_now_ns() < deadline) {
        wait_for_change(cpu.state, kCpuStarting, &step);
        preemption_point();
    }
    if (change_state(cpu, kCpuStarting, kCpuOff) || (state_of(cpu) & kMachineEnding) != 0) return kLate();
    return {};
}

void stop_cpu() {
    preempt_disable();
    Cpu& cpu = *this_cpu();
    if (cpu.port->replay.on) replay_stop_cpu(*cpu.port, cpu);
    change_state(cpu, kCpuRunning, kCpuStopping);
    pass_console_on(cpu);
    cpu_leave();
}

void interrupt_cpu(CpuId id, CpuInterrupt kind) {
    // Between the bit and the signal this thread should not have to wait for its turn: others rely on it by then.
    PreemptionGuard guard;
    Port& port = this_port();
    if (id >= port.cpu_count) fatal("an interrupt for a CPU that the machine does not have: ", id);
    Cpu& cpu = port.cpus[id];
    const uint32_t bit = 1u << static_cast<uint32_t>(kind);
    // Set already: the signal is on its way, and the handler, which will take the bit, sees what was written before.
    if ((__atomic_fetch_or(&cpu.pending, bit, __ATOMIC_ACQ_REL) & bit) != 0 || port.replay.on) return;
    send(cpu, kind == CpuInterrupt::Call ? call_signal() : watchdog_signal());
}

Result<void> line_check(uint32_t line) {
    if (this_port().replay.on) return Error(ErrorCode::NotSupported, "a replay has no devices");
    if (line >= line_end())
        return Error(ErrorCode::InvalidArgument, format("there are lines 0 to {}", line_end() - 1).text());
    if (line < kFirstLine)
        return Error(ErrorCode::Busy, format("line {} belongs to the CPUs' timers and calls", line).text());
    return {};
}

void line_enable(uint32_t line) {
    PreemptionGuard guard;
    Port& port = this_port();
    const uint32_t bit = 1u << line;
    if ((__atomic_fetch_or(&port.lines_installed, bit, __ATOMIC_SEQ_CST) & bit) == 0) traps_install_line(line);
    __atomic_fetch_or(&port.lines_enabled, bit, __ATOMIC_SEQ_CST);
    // Once more what came meanwhile.
    if ((__atomic_load_n(&port.lines_latched, __ATOMIC_SEQ_CST) & bit) != 0) send(*this_cpu(), signal_of_line(line));
}

void line_disable(uint32_t line) {
    __atomic_fetch_and(&this_port().lines_enabled, ~(1u << line), __ATOMIC_SEQ_CST);
}

void halt_other_cpus() {
    preempt_disable();
    Cpu& self = *this_cpu();
    Port& port = *self.port;
    uint32_t first = 0;
    if (!__atomic_compare_exchange_n(&port.halting_cpu, &first, self.index + 1, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST) &&
        first != self.index + 1)
        cpu_leave();  // it is one of those others
    __atomic_store_n(&port.console_cpu, self.index, __ATOMIC_SEQ_CST);
    if (port.replay.on) {
        replay_halt_others(port, self);
    } else {
        const auto runs = [](const Cpu& cpu) { return (state_of(cpu) & ~kMachineEnding) >= kCpuRunning; };
        for (Cpu& cpu : port.cpus)
            if (&cpu != &self && runs(cpu)) send(cpu, watchdog_signal());
        const uint64_t deadline = host_now_ns() + kHaltPatienceNs;
        const timespec step{0, kFutexWaitNs};
        for (Cpu& cpu : port.cpus)
            while (&cpu != &self && runs(cpu) && host_now_ns() < deadline)
                wait_for_change(cpu.state, state_of(cpu), &step);
    }
    preempt_lower();
}

void power_off(uint8_t status) {
    preempt_disable();
    block_all_signals();
    Cpu& self = *this_cpu();
    Port& port = *self.port;
    uint32_t nobody = 0;
    if (!__atomic_compare_exchange_n(&port.powering_off, &nobody, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        cpu_leave();
    port.status = status;
    if (port.replay.on) replay_summary(port);
    console_restore(port.console);
    if (port.exit_process) _exit(status);
    end_machine(port);
    if (port.replay.on) replay_end(port);
    for (const Cpu& cpu : port.cpus)
        if (&cpu != &self) send(cpu, watchdog_signal());
    cpu_leave();
}

void restart() {
    write_all(this_port().messages, "helix-kernel: restart: NotSupported, the process ends instead\n");
    power_off(1);
}

}  // namespace helix::arch

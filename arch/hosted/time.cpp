// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Time of a hosted machine: the clock, deadlines and the wait for them.
#include "arch/hosted/port.hpp"

#include <asm/prctl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace helix::arch {

using namespace hosted;

namespace {

/// How long an idle CPU looks for work of other CPUs before it sleeps: waking a pthread takes about as long.
constexpr uint64_t kSpinNs = 30'000;
/// How many rounds a CPU waits for another one before it lets other threads of the host go first.
constexpr uint64_t kSpinsPerYield = 1024;
/// Replay: how often a CPU is looked at for an endless loop, in CPU time, so that a busy host changes nothing.
constexpr uint64_t kStallCheckNs = 5'000'000;

bool has_console(const Cpu& cpu) {
    return __atomic_load_n(&cpu.port->console_cpu, __ATOMIC_RELAXED) == cpu.index;
}

/// Sleeps until a signal comes or input is there, if nothing came since `interrupts` was read.
void sleep_until_interrupt(Cpu& cpu, uint64_t interrupts) {
    uint64_t all = ~0ull;
    uint64_t before = 0;
    system_call(SYS_rt_sigprocmask, SIG_SETMASK, word_of(&all), word_of(&before), sizeof(all));
    // An interrupt that came earlier has been counted; one that comes from here on ends the sleep.
    if (!reschedule_wanted() && __atomic_load_n(&cpu.interrupts, __ATOMIC_RELAXED) == interrupts) {
        Console& console = cpu.port->console;
        pollfd entry{console.input, POLLIN, 0};
        const bool listens = has_console(cpu) && __atomic_load_n(&console.input_open, __ATOMIC_RELAXED);
        system_call(SYS_ppoll, word_of(&entry), listens ? 1 : 0, 0, word_of(&before), sizeof(before));
    }
    system_call(SYS_rt_sigprocmask, SIG_SETMASK, word_of(&before), 0, sizeof(before));
}

/// Makes the host's timer expire when the machine's clock says `deadline_ns`.
void tell_host(const Cpu& cpu, uint64_t deadline_ns) {
    // The host takes zero for no timer at all, and has a limit.
    constexpr uint64_t kLongest = uint64_t{1} << 62;
    itimerspec setting{};
    if (deadline_ns != kNever) {
        const uint64_t at = cpu.port->start_ns + (deadline_ns < kLongest ? deadline_ns : kLongest);
        setting.it_value.tv_sec = static_cast<time_t>(at / 1'000'000'000);
        setting.it_value.tv_nsec = static_cast<long>(at % 1'000'000'000);
    }
    if (system_call(SYS_timer_settime, static_cast<uint64_t>(cpu.timer), TIMER_ABSTIME, word_of(&setting), 0) != 0)
        fatal("a CPU has no timer: interrupts were not started");
}

}  // namespace

uint64_t hosted::host_now_ns() {
    // No preemption guard: the clock is read in the vDSO, which keeps nothing for each thread.
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

void hosted::deliver_console_input() {
    preempt_disable();
    console_told(this_port().console);
    kernel::TrapFrame frame{nullptr, 1};
    kernel::on_console_input(frame);
    if (frame.gate != nullptr) gate_resume(*frame.gate, frame.failure);
    preempt_lower();
}

uint64_t now_ns() {
    Port& port = this_port();
    if (port.replay.on) {
        // Time passes a little with each look at it, so that waiting for it ends.
        return port.replay.clock_ns += 50;
    }
    return host_now_ns() - port.start_ns;
}

uint64_t cycles() {
    Port& port = this_port();
    return port.replay.on ? port.replay.clock_ns : __builtin_ia32_rdtsc();
}

void start_interrupts() {
    PreemptionGuard guard;
    Cpu& cpu = *this_cpu();
    const bool replay = cpu.port->replay.on;
    // Under replay one timer looks after the one pthread.
    Cpu& owner = replay ? cpu.port->cpus[0] : cpu;
    if (owner.has_timer) {
        if (replay) return;
        fatal("the interrupts of a CPU were started twice");
    }
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = tick_signal();
    event._sigev_un._tid = static_cast<pid_t>(owner.tid);
    const long error = system_call(SYS_timer_create, replay ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC,
                                   word_of(&event), word_of(&owner.timer));
    if (error != 0) fatal("the host gives no timer, error ", static_cast<uint64_t>(-error));
    owner.has_timer = true;
    if (!replay) return;
    itimerspec setting{};
    setting.it_interval.tv_nsec = kStallCheckNs;
    setting.it_value = setting.it_interval;
    system_call(SYS_timer_settime, static_cast<uint64_t>(owner.timer), 0, word_of(&setting), 0);
}

void set_timer(uint64_t deadline_ns) {
    Cpu& cpu = *this_cpu();
    __atomic_store_n(&cpu.deadline_ns, deadline_ns, __ATOMIC_RELAXED);
    if (!cpu.port->replay.on) tell_host(cpu, deadline_ns);
}

void hosted::timer_end(Cpu& cpu) {
    if (cpu.has_timer) system_call(SYS_timer_delete, static_cast<uint64_t>(cpu.timer));
    cpu.has_timer = false;
}

bool hosted::timer_is_due(Cpu& cpu) {
    const uint64_t deadline_ns = __atomic_load_n(&cpu.deadline_ns, __ATOMIC_RELAXED);
    if (deadline_ns == kNever) return false;
    if (now_ns() < deadline_ns) {
        tell_host(cpu, deadline_ns);
        return false;
    }
    __atomic_store_n(&cpu.deadline_ns, kNever, __ATOMIC_RELAXED);
    return true;
}

void hosted::timer_again(Cpu& cpu) {
    const uint64_t deadline_ns = __atomic_load_n(&cpu.deadline_ns, __ATOMIC_RELAXED);
    if (deadline_ns != kNever && !cpu.port->replay.on) tell_host(cpu, deadline_ns);
}

void hosted::set_gs(const Port& port, CpuLocal* local) {
    if (port.has_gs_instructions)
        asm volatile("wrgsbase %0" ::"r"(local) : "memory");
    else if (system_call(SYS_arch_prctl, ARCH_SET_GS, word_of(local)) != 0)
        fatal("the host does not set %gs");
}

void set_cpu_local(CpuLocal* local) {
    Cpu& cpu = *this_cpu();
    const bool is_first = cpu.local == nullptr;
    cpu.local = local;
    set_gs(*cpu.port, local);
    // What came earlier had nobody to tell it to.
    if (is_first) traps_allow_interrupts();
}

void spin_hint() {
    __builtin_ia32_pause();
    if (this_cpu() == nullptr) return;  // a unit test outside of a machine
    Port& port = this_port();
    if (port.replay.on) {
        replay_spin(port);
        return;
    }
    if constexpr (HELIX_THREAD_SANITIZER) deliver_pending();
    stop_if_asked(port);
    // Whoever is waited for may be waiting for a CPU of the host.
    uint64_t& spins = this_cpu()->spins;  // roughly: the thread may move to another CPU here
    const uint64_t before = __atomic_load_n(&spins, __ATOMIC_RELAXED);
    __atomic_store_n(&spins, before + 1, __ATOMIC_RELAXED);
    if (before % kSpinsPerYield == 0) system_call(SYS_sched_yield);
}

void preemption_point() {
    Port& port = this_port();
    if (port.replay.on) {
        replay_point(port);
    } else if constexpr (HELIX_THREAD_SANITIZER) {
        deliver_pending();
        stop_if_asked(port);
    }
}

void idle() {
    Cpu& cpu = *this_cpu();
    Port& port = *cpu.port;
    if (port.replay.on) {
        replay_idle(port);
        return;
    }
    // Whatever comes from here on changes this number, and there is no sleep.
    const uint64_t interrupts = __atomic_load_n(&cpu.interrupts, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    stop_if_asked(port);
    if (reschedule_wanted()) return;
    // Elsewhere the signals have brought what is pending, or are about to.
    if (!HELIX_THREAD_SANITIZER || __atomic_load_n(&cpu.pending, __ATOMIC_RELAXED) == 0) {
        if (has_console(cpu) && console_is_news(port.console)) {
            deliver_console_input();
            if (reschedule_wanted()) return;
        }
        if (port.spins_when_idle) {
            const uint64_t until = host_now_ns() + kSpinNs;
            while (host_now_ns() < until) {
                if (reschedule_wanted() || __atomic_load_n(&cpu.interrupts, __ATOMIC_RELAXED) != interrupts) return;
                spin_hint();
            }
        }
        sleep_until_interrupt(cpu, interrupts);
    }
    if constexpr (HELIX_THREAD_SANITIZER) deliver_pending();
    stop_if_asked(port);
    if (has_console(cpu)) {
        console_refill(port.console);
        if (console_is_news(port.console)) deliver_console_input();
    }
}

}  // namespace helix::arch

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Signals as interrupts: ticks on the interrupted thread's stack, faults on the CPU's alternate stack.
#include "arch/hosted/port.hpp"

extern "C" {
// entry.S
void helix_hosted_tick_entry(int, siginfo_t*, void*);
void helix_hosted_fault_entry(int, siginfo_t*, void*);
void helix_hosted_watchdog_entry(int, siginfo_t*, void*);
void __restore_rt();
extern const char helix_hosted_tick_probes_begin[];
extern const char helix_hosted_tick_probes_end[];
extern const char helix_hosted_tick_leave[];
// What entry.S calls.
void helix_hosted_on_tick(int signal, siginfo_t* info, ucontext_t* context);
void helix_hosted_on_watchdog(int signal, siginfo_t* info, ucontext_t* context);
void helix_hosted_on_fault(int signal, siginfo_t* info, ucontext_t* context);
void helix_hosted_foreign_fault(int signal);

constinit thread_local helix::arch::hosted::Cpu* helix_hosted_cpu = nullptr;
}

namespace helix::arch::hosted {

namespace {

constexpr int kFaultSignals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
/// Faults in the handling of faults before the port gives up.
constexpr uint32_t kMaximumFaultDepth = 4;

/// The kernel's own layout; going past libc keeps sanitizers from delaying or filtering signals.
struct SignalAction {
    void (*handler)(int, siginfo_t*, void*);
    uint64_t flags;
    void (*restorer)();
    uint64_t mask;
};
constexpr uint64_t kHasRestorer = 0x04000000;

constexpr uint64_t bit_of(int signal) {
    return 1ull << (signal - 1);
}

uint64_t fault_mask() {
    uint64_t mask = 0;
    for (const int signal : kFaultSignals) mask |= bit_of(signal);
    return mask;
}

/// Signals for one CPU; those of lines are for the process, and may be taken by any.
uint64_t own_interrupts() {
    return bit_of(tick_signal()) | bit_of(call_signal()) | bit_of(watchdog_signal());
}
/// The signals that are handled on a thread's stack, where it may be switched away.
uint64_t interrupts_of_threads() {
    return ~(bit_of(SIGRTMIN) - 1) & ~bit_of(watchdog_signal());
}
uint64_t interrupt_mask() {
    return interrupts_of_threads() | own_interrupts();
}

void change_mask(int how, uint64_t signals) {
    system_call(SYS_rt_sigprocmask, static_cast<uint64_t>(how), word_of(&signals), 0, sizeof(signals));
}

void install(int signal, const SignalAction& action) {
    if (system_call(SYS_rt_sigaction, static_cast<uint64_t>(signal), word_of(&action), 0, sizeof(uint64_t)) != 0)
        fatal("the host refuses a handler for signal ", static_cast<uint64_t>(signal));
}

uint64_t reg(const ucontext_t& context, int index) {
    return static_cast<uint64_t>(context.uc_mcontext.gregs[index]);
}

bool inside(MutableBytes bytes, uint64_t address) {
    return address - word_of(bytes.data()) < bytes.size();
}

/// The CPU on whose boot stack, or in the guard page below it, `address` lies, or null. Threads move between CPUs, also
/// those that began on such a stack.
const Cpu* boot_stack_owner(const Cpu& cpu, uint64_t address) {
    const Port& port = *cpu.port;
    for (uint32_t i = 0; i < port.cpu_count; ++i) {
        const MutableBytes stack = port.cpus[i].boot_stack;
        if (address - (word_of(stack.data()) - kPageSize) < kPageSize + stack.size()) return &port.cpus[i];
    }
    return nullptr;
}

/// Whether `address` lies in memory that can be a thread's stack.
bool is_stack(const Cpu& cpu, uint64_t address) {
    if (is_mapped(*cpu.port, address)) return true;
    const Cpu* const owner = boot_stack_owner(cpu, address);
    return owner != nullptr && inside(owner->boot_stack, address);
}

/// Whether `address` is in the guard page below the stack that `stack_pointer` points into, or just left.
bool is_below_stack(const Cpu& cpu, uint64_t stack_pointer, uint64_t address) {
    constexpr uint64_t kLargestStackPages = 2048;
    // A boot stack's guard page belongs to it here: the stack pointer may be there already.
    if (!cpu.port->in_region(stack_pointer) && boot_stack_owner(cpu, stack_pointer) == nullptr) return false;
    uint64_t page = stack_pointer & ~(kPageSize - 1);
    for (uint64_t steps = 0; steps < kLargestStackPages && is_stack(cpu, page); ++steps) page -= kPageSize;
    return (address & ~(kPageSize - 1)) == page;
}

/// A module set the alignment-check flag, and it, the kernel or another module came to a word that is not aligned.
/// Ring 0 ignores the flag: clears it, so that the access is made after all.
bool clear_alignment_check(ucontext_t& context) {
    constexpr uint64_t kAlignmentTrap = 17;
    constexpr greg_t kAlignmentCheck = 1 << 18;
    if (reg(context, REG_TRAPNO) != kAlignmentTrap) return false;
    context.uc_mcontext.gregs[REG_EFL] &= ~kAlignmentCheck;
    return true;
}

/// Whether a signal's frame would not fit below `stack_pointer`: the host then sends SIGSEGV instead.
bool has_no_room_for_frame(const Cpu& cpu, uint64_t stack_pointer) {
    if (inside(cpu.alternate_stack, stack_pointer)) return false;
    return !is_stack(cpu, stack_pointer - 1) || !is_stack(cpu, stack_pointer - cpu.port->signal_frame_bytes);
}

kernel::Fault fault_of(const Cpu& cpu, int signal, const siginfo_t& info, const ucontext_t& context) {
    enum Trap : uint64_t {
        kDivide = 0,
        kBreakpoint = 3,
        kInvalidOpcode = 6,
        kStackSegment = 12,
        kProtection = 13,
        kPage = 14
    };
    using kernel::FaultKind;
    const uint64_t trap = reg(context, REG_TRAPNO);
    const uint64_t stack_pointer = reg(context, REG_RSP);
    // The host leaves the number of an earlier trap behind when it is the host that gave up.
    if (signal == SIGSEGV && info.si_code == SI_KERNEL && has_no_room_for_frame(cpu, stack_pointer))
        return {FaultKind::StackOverflow, stack_pointer, true, false};
    if ((signal == SIGSEGV || signal == SIGBUS) && trap == kPage) {
        const uint64_t address = reg(context, REG_CR2);
        const uint64_t error = reg(context, REG_ERR);
        const FaultKind kind =
            is_below_stack(cpu, stack_pointer, address) ? FaultKind::StackOverflow : FaultKind::PageFault;
        return {kind, address, (error & 2) != 0, (error & 16) != 0};
    }
    if (signal == SIGSEGV || signal == SIGBUS) {
        const bool protection = trap == kProtection || trap == kStackSegment;
        return {protection ? FaultKind::GeneralProtection : FaultKind::Other, 0, false, false};
    }
    if (signal == SIGFPE && trap == kDivide) return {FaultKind::DivideError, 0, false, false};
    if (signal == SIGILL && trap == kInvalidOpcode) return {FaultKind::InvalidOpcode, 0, false, false};
    if (signal == SIGTRAP && trap == kBreakpoint) return {FaultKind::Breakpoint, 0, false, false};
    return {FaultKind::Other, 0, false, false};
}

/// The thread may continue on another CPU, whose alternate stack would be replaced by this one's when the host
/// restores the context. An invalid value is passed over.
void keep_alternate_stack(ucontext_t& context) {
    context.uc_stack.ss_flags = 0x7fff;
}

}  // namespace

void traps_install() {
    SignalAction tick{helix_hosted_tick_entry, SA_SIGINFO | SA_RESTART | kHasRestorer, __restore_rt,
                      interrupts_of_threads()};
    install(tick_signal(), tick);
    install(call_signal(), tick);
    SignalAction watchdog{helix_hosted_watchdog_entry, SA_SIGINFO | SA_ONSTACK | SA_RESTART | kHasRestorer,
                          __restore_rt, ~fault_mask()};
    install(watchdog_signal(), watchdog);
    // Faults are not blocked: handling one may meet another, say where the kernel looks at a broken stack.
    SignalAction fault{helix_hosted_fault_entry, SA_SIGINFO | SA_ONSTACK | SA_NODEFER | kHasRestorer, __restore_rt,
                       ~fault_mask()};
    for (const int signal : kFaultSignals) install(signal, fault);
}

void traps_install_line(uint32_t line) {
    install(signal_of_line(line),
            {helix_hosted_tick_entry, SA_SIGINFO | SA_RESTART | kHasRestorer, __restore_rt, interrupts_of_threads()});
}

void traps_enter(Cpu& cpu) {
    stack_t stack{};
    stack.ss_sp = cpu.alternate_stack.data();
    stack.ss_size = cpu.alternate_stack.size();
    if (system_call(SYS_sigaltstack, word_of(&stack), 0) != 0) fatal("the host refuses the alternate stack");
    change_mask(SIG_SETMASK, ~(fault_mask() | bit_of(SIGPIPE)));
}

void traps_allow_interrupts() {
    change_mask(SIG_UNBLOCK, interrupt_mask());
}

void traps_leave() {
    block_all_signals();
    const uint64_t waiting = own_interrupts();
    const timespec now{};
    while (system_call(SYS_rt_sigtimedwait, word_of(&waiting), 0, word_of(&now), sizeof(waiting)) > 0) {
    }
    stack_t stack{};
    stack.ss_flags = SS_DISABLE;
    system_call(SYS_sigaltstack, word_of(&stack), 0);
}

}  // namespace helix::arch::hosted

using namespace helix;
using namespace helix::arch::hosted;

/// What a tick, a call or a line means for the kernel.
static void deliver_signal(int signal, ucontext_t* context) {
    Cpu& cpu = *this_cpu();
    Port& port = *cpu.port;
    kernel::TrapFrame frame{context, 1};
    const bool is_call = signal == call_signal();
    if (signal > watchdog_signal()) {
        const auto line = static_cast<uint32_t>(signal - signal_of_line(0));
        if (take_line(port, line)) kernel::on_line(frame, line);
        return;
    }
    if constexpr (HELIX_THREAD_SANITIZER) {
        // Module code need not pass a safe place: what waits for one is for here.
        stop_if_asked(port);
        if (take_pending(cpu, kPendingWatchdog) != 0) kernel::on_watchdog(frame);
        if (!is_call && take_pending(cpu, kPendingCall) != 0) {
            preempt_disable();  // the tick is still this CPU's
            frame.raised = 2;
            kernel::on_interrupt(frame);
            frame.raised = 1;
            preempt_lower();
        }
    }
    if (is_call) {
        // Somebody else may have taken it: a safe place, or the signal of an earlier call.
        if (take_pending(cpu, kPendingCall) != 0) kernel::on_interrupt(frame);
        return;
    }
    if (port.replay.on) {
        replay_stalled(port, frame);
        return;
    }
    if (__atomic_load_n(&port.console_cpu, __ATOMIC_RELAXED) == cpu.index && preempt_count() == 1 &&
        __atomic_load_n(&port.console.input_open, __ATOMIC_RELAXED)) {
        const uint64_t now = arch::now_ns();
        if (now - cpu.console_polled_ns >= kConsolePollNs) {
            cpu.console_polled_ns = now;
            console_refill(port.console);
            if (console_is_news(port.console)) {
                console_told(port.console);
                // Once more, so that the kernel switches threads below only: the tick is this CPU's.
                preempt_disable();
                frame.raised = 2;
                kernel::on_console_input(frame);
                frame.raised = 1;
                preempt_lower();
            }
        }
    }
    if (timer_is_due(cpu)) kernel::on_timer(frame);
}

/// A tick, or an interrupt by another CPU. Preemption count raised by one, on the interrupted thread's stack, other
/// ticks and calls blocked.
void helix_hosted_on_tick(int signal, siginfo_t*, ucontext_t* context) {
    keep_alternate_stack(*context);
    Cpu& cpu = *this_cpu();
    const bool is_call = signal == call_signal();
    __atomic_store_n(&cpu.interrupts, cpu.interrupts + 1, __ATOMIC_RELAXED);
    const bool is_replay = cpu.port->replay.on;
    // The thread sanitizer's runtime cannot be entered twice: outside of module code, which never runs inside it,
    // nothing that is instrumented may be called from here.
    if (HELIX_THREAD_SANITIZER && !cpu.port->in_region(reg(*context, REG_RIP))) {
        // A call is pending already.
        if (signal > watchdog_signal()) {
            __atomic_fetch_or(&cpu.port->lines_latched, 1u << (signal - signal_of_line(0)), __ATOMIC_SEQ_CST);
            __atomic_fetch_or(&cpu.pending, kPendingLine, __ATOMIC_RELAXED);
        } else if (!is_call && !is_replay) {
            __atomic_fetch_or(&cpu.pending, kPendingTick, __ATOMIC_RELAXED);
            // A module that begins before the next safe place, and never ends, is interrupted again.
            itimerspec later{};
            later.it_value.tv_nsec = 1'000'000;
            system_call(SYS_timer_settime, static_cast<uint64_t>(cpu.timer), 0, word_of(&later), 0);
        }
        return;
    }
    // Where the thread may be switched away its CPU needs its signals. Elsewhere the kernel only takes a note, and one
    // signal's frame is the last: on a thread's stack there are at most two.
    const bool may_switch = preempt_count() == 1 || is_replay;
    if (may_switch) change_mask(SIG_UNBLOCK, interrupts_of_threads());
    deliver_signal(signal, context);
    // The thread may have been away, and this be another CPU by now. Until the interrupted code goes on, no more.
    if (may_switch) change_mask(SIG_BLOCK, interrupts_of_threads());
}

/// Another CPU looks after this one, or wants it to stop. Preemption count raised by one, on the alternate stack, with
/// every signal but faults blocked.
void helix_hosted_on_watchdog(int, siginfo_t*, ucontext_t* context) {
    Cpu& cpu = *this_cpu();
    __atomic_store_n(&cpu.interrupts, cpu.interrupts + 1, __ATOMIC_RELAXED);
    // As for ticks: elsewhere it waits for a safe place.
    if (HELIX_THREAD_SANITIZER && !cpu.port->in_region(reg(*context, REG_RIP))) return;
    if (must_stop(cpu)) {
        if (cpu.unstoppable == 0) cpu_leave();
        return;  // it will look when it may
    }
    if (take_pending(cpu, kPendingWatchdog) == 0) return;
    kernel::TrapFrame frame{context, 1};
    kernel::on_watchdog(frame);
}

/// Preemption count raised by one, on the alternate stack, with every signal but faults blocked.
void helix_hosted_on_fault(int signal, siginfo_t* info, ucontext_t* context) {
    Cpu& cpu = *this_cpu();
    if (info->si_code <= 0) {  // somebody sent it: not a fault, and nothing that a kernel could handle
        SignalAction otherwise{};
        install(signal, otherwise);
        system_call(SYS_tgkill, static_cast<uint64_t>(system_call(SYS_getpid)),
                    static_cast<uint64_t>(system_call(SYS_gettid)), static_cast<uint64_t>(signal));
        return;
    }
    const uint64_t instruction = reg(*context, REG_RIP);
    if (clear_alignment_check(*context)) return;
    if (cpu.local == nullptr) fatal("a fault before the kernel had set up its CPU, at ", instruction);
    if (++cpu.fault_depth > kMaximumFaultDepth) fatal("faults in the handling of faults, at ", instruction);
    int lost = 0;
    if (instruction >= word_of(helix_hosted_tick_probes_begin) && instruction < word_of(helix_hosted_tick_probes_end)) {
        // A tick found too little room. What it interrupted has the overflow; its handler only has to leave.
        auto* interrupted = reinterpret_cast<ucontext_t*>(reg(*context, REG_RDX));
        lost = static_cast<int>(reg(*context, REG_RDI));
        keep_alternate_stack(*interrupted);
        kernel::TrapFrame frame{interrupted, 2};
        const kernel::Fault fault{kernel::FaultKind::StackOverflow, reg(*context, REG_CR2), true, false};
        kernel::on_fault(frame, fault);
        context->uc_mcontext.gregs[REG_RIP] = static_cast<greg_t>(word_of(helix_hosted_tick_leave));
    } else {
        kernel::TrapFrame frame{context, 1};
        kernel::on_fault(frame, fault_of(cpu, signal, *info, *context));
    }
    --cpu.fault_depth;
    // The fault may have been that the timer's signal found no room.
    timer_again(cpu);
    if (lost > watchdog_signal()) send(cpu, lost);
    // If the fault was that a call's signal found no room, the call is pending still, and would wait for ever.
    if ((__atomic_load_n(&cpu.pending, __ATOMIC_RELAXED) & kPendingCall) != 0)
        system_call(SYS_tgkill, cpu.port->process, cpu.tid, static_cast<uint64_t>(call_signal()));
}

/// A fault in a pthread that is no CPU: as if the port were not there.
void helix_hosted_foreign_fault(int signal) {
    SignalAction otherwise{};
    install(signal, otherwise);
}

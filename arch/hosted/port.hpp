// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Inside of the hosted port: what belongs to one machine, to one of its CPUs, and to an interrupted context.
//
// Signals run kernel code at any instruction of a thread's stack. So the port calls libc with preemption off only,
// and where a handler may be on the stack it makes system calls directly: they leave errno alone, which a thread
// that was switched away in between would otherwise find changed, or belonging to another pthread.
#pragma once

#include "arch/hosted/machine.hpp"
#include "arch/seam.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <termios.h>
#include <time.h>
#include <ucontext.h>

#if !defined(HELIX_ADDRESS_SANITIZER)
#if __has_feature(address_sanitizer)
#define HELIX_ADDRESS_SANITIZER 1
#else
#define HELIX_ADDRESS_SANITIZER 0
#endif
#endif
#if !defined(HELIX_THREAD_SANITIZER)  // trap.cpp is not instrumented and is told
#if __has_feature(thread_sanitizer)
#define HELIX_THREAD_SANITIZER 1
#else
#define HELIX_THREAD_SANITIZER 0
#endif
#endif
#define HELIX_NO_SANITIZER __attribute__((disable_sanitizer_instrumentation))

namespace helix::kernel {

/// Either what a signal interrupted, or a synthetic frame: a tick that was delivered by a call.
struct TrapFrame {
    ucontext_t* context;   ///< null in a synthetic frame
    uint32_t raised;       ///< by how much the handlers above will lower the preemption count when they return
    Gate* gate = nullptr;  ///< synthetic: resume here instead of returning
    GateFailure failure = GateFailure::None;
};

}  // namespace helix::kernel

namespace helix::arch::hosted {

inline constexpr uint64_t kPageSize = 4096;
inline constexpr uint64_t kBootStackBytes = HELIX_ADDRESS_SANITIZER || HELIX_THREAD_SANITIZER ? 1 << 20 : 256 << 10;
/// Two signals' frames of 3.4 KiB, and what the handlers need; instrumented frames are several times larger than plain
/// ones. Of it, HELIX_TICK_HEADROOM (entry.S) must be there below a first signal's frame.
inline constexpr size_t kStackOverhead = HELIX_ADDRESS_SANITIZER || HELIX_THREAD_SANITIZER ? 112 << 10 : 16 << 10;
inline constexpr size_t kConsoleRing = 4096;
inline constexpr uint64_t kConsolePollNs = 10'000'000;

/// The signal that ticks arrive as.
inline int tick_signal() {
    return SIGRTMIN;
}
/// The signal of CpuInterrupt::Call: handled like a tick.
inline int call_signal() {
    return SIGRTMIN + 1;
}
/// The signal of CpuInterrupt::Watchdog, and of those who stop a CPU: handled on the alternate stack.
inline int watchdog_signal() {
    return SIGRTMIN + 2;
}

/// Line n is signal SIGRTMIN + n, sent to the process: handled like a tick, on any CPU. The first three are the port's.
inline constexpr uint32_t kFirstLine = 3;
inline uint32_t line_end() {
    return static_cast<uint32_t>(SIGRTMAX - SIGRTMIN) + 1;
}
inline int signal_of_line(uint32_t line) {
    return SIGRTMIN + static_cast<int>(line);
}

/// What sanitizers know of a stack.
struct SanitizerStack {
    void* fiber = nullptr;         ///< thread sanitizer
    const void* bottom = nullptr;  ///< address sanitizer
    size_t size = 0;
    void* fake_stack = nullptr;
    bool owned = false;  ///< context_announce made it, context_retire frees it
};

/// What a CPU does, in Cpu::state.
enum CpuState : uint32_t {
    kCpuOff = 0,  ///< never ran, or has stopped
    kCpuStarting =
        1,  ///< start_cpu asked for it; whoever changes it first decides: the CPU, or a starter that gives up
    kCpuRunning = 2,
    kCpuStopping = 3,           ///< on its way out, from stop_cpu
    kMachineEnding = 1u << 31,  ///< beside the others: the pthread ends as soon as its CPU is off
};

/// What waits to be delivered to a CPU, in Cpu::pending. The first two are CpuInterrupts.
enum Pending : uint32_t {
    kPendingCall = 1u << static_cast<uint32_t>(CpuInterrupt::Call),
    kPendingWatchdog = 1u << static_cast<uint32_t>(CpuInterrupt::Watchdog),
    kPendingTick = 4,  ///< replay and thread sanitizer: a tick that waits for a safe place
    kPendingLine = 8,  ///< thread sanitizer: a line, likewise
};

/// One CPU: a pthread, or under replay one of several contexts on the boot CPU's. Only it touches its members,
/// handlers of signals included, but for those where it says otherwise.
struct Cpu {
    Port* port = nullptr;
    CpuId index = 0;
    pthread_t pthread = {};
    bool has_pthread = false;
    uint32_t tid = 0;          ///< of the pthread, 0 until it runs; read by others
    uint32_t state = kCpuOff;  ///< CpuState; atomic, of everybody; futex
    uint32_t pending = 0;      ///< Pending; atomic, set by everybody, taken by the CPU itself
    bool inside = false;       ///< between the switch to `boot` and that to `leave`
    uint32_t unstoppable = 0;  ///< HostCalls that are open
    void* kernel = nullptr;    ///< what `early.kernel` will be: the starting CPU's; written before Starting
    CpuLocal early{};          ///< what %gs points to until the kernel has its own
    CpuLocal* local = nullptr;
    uint8_t* stacks = nullptr;  ///< mapping: guard page, alternate stack, guard page, boot stack
    size_t stacks_size = 0;
    MutableBytes alternate_stack;
    MutableBytes boot_stack;
    ThreadContext boot;   ///< runs kernel_main or cpu_main
    ThreadContext leave;  ///< the pthread's own context, to which a CPU goes that stops
    SanitizerStack leave_stack;
    SanitizerStack* running = nullptr;  ///< the stack that runs now
    int timer = 0;                      ///< the host's number of it
    bool has_timer = false;
    uint64_t deadline_ns = kNever;  ///< of set_timer; replay writes it for a CPU that waits
    uint64_t interrupts = 0;        ///< signals that arrived
    uint32_t fault_depth = 0;
    uint64_t console_polled_ns = 0;
    uint64_t spins = 0;  ///< spin_hints; under replay those since the last sign of progress
    // Replay.
    ThreadContext resume;         ///< where this CPU goes on while another one has the pthread
    bool idle = false;            ///< waits for something to be pending
    uint64_t progress = 0;        ///< preemption points and idle rounds: standing still means an endless loop
    uint64_t stall_progress = 0;  ///< `progress` at the last real tick, and how many saw the same
    uint32_t stalled_looks = 0;
    uint64_t stall_ticks = 0;  ///< ticks of the innermost call after the last look that gave it some
};

/// The console. `lock` is taken with preemption off and never waited for.
struct Console {
    int input = 0;
    int output = 1;
    bool input_open = true;  ///< guarded by lock
    bool is_raw = false;
    termios saved{};
    uint32_t lock = 0;
    uint32_t told = 0;  ///< value of `head` when the kernel was last told; of the CPU in charge
    uint32_t head = 0;  ///< next free position in the ring; written under lock
    uint32_t tail = 0;  ///< next byte to read; written by the one reader
    uint8_t ring[kConsoleRing] = {};
    // Replay: all input, read before the kernel started.
    uint8_t* script = nullptr;
    size_t script_size = 0;
    size_t script_capacity = 0;
    size_t script_next = 0;
    bool script_told = false;
};

/// The state of a replay. Everything in it follows from the seed and the kernel's own doing.
struct Replay {
    bool on = false;
    uint64_t seed = 0;
    uint64_t random = 0;
    uint64_t clock_ns = 0;
    uint64_t steps = 0;  ///< preemption points passed
    uint64_t hash = 0xcbf29ce484222325;
    uint32_t running = 0;  ///< CPUs that are on
};

/// One machine. After start() it changes only where a member says so.
struct Port {
    Machine* machine = nullptr;
    BootInfo boot{};
    MemoryRange memory_range{};
    int memory_file = -1;
    uint8_t* direct_map = nullptr;
    uint64_t memory_bytes = 0;
    uint8_t* region = nullptr;
    uint64_t region_bytes = 0;
    /// One bit for each page of the region: whether it is mapped. Written by map and unmap, read by handlers.
    uint64_t* mapped = nullptr;
    uint64_t start_ns = 0;
    uint64_t signal_frame_bytes = 0;  ///< what the host pushes for a signal, the red zone that it leaves included
    uint32_t cpu_count = 1;
    uint32_t process = 0;  ///< its id
    bool has_gs_instructions = false;
    bool spins_when_idle = false;  ///< the host has a CPU for each of ours
    bool booted = false;           ///< kernel_main was called; written by the boot CPU, read by it
    bool exit_process = false;
    int messages = 2;
    uint8_t status = 0;            ///< set by power_off
    uint32_t halting_cpu = 0;      ///< 1 + who called halt_other_cpus first, and goes on alone; atomic
    uint32_t powering_off = 0;     ///< 1 as soon as a CPU called power_off; the others stop; atomic
    uint32_t lines_enabled = 0;    ///< a bit for each line; atomic, like the next two
    uint32_t lines_latched = 0;    ///< whose signal came and was not told to the kernel yet
    uint32_t lines_installed = 0;  ///< that have a handler, and so end no process any more
    uint32_t console_cpu = 0;      ///< who looks for input: atomic; a CPU that stops passes it on
    Console console;
    Replay replay;
    Cpu cpus[kMaximumCpus];

    bool in_region(uint64_t address) const { return address - reinterpret_cast<uint64_t>(region) < region_bytes; }
};

extern "C" {
/// The CPU that the calling pthread is; null on others. Never named directly: see this_cpu().
extern __attribute__((tls_model("initial-exec"))) constinit thread_local Cpu* helix_hosted_cpu;
}

/// The CPU that runs this, or null. The compiler would keep the address of a thread_local across a switch to another
/// pthread; it keeps nothing of an asm. CpuLocal has no member for the port, hence this.
inline __attribute__((always_inline)) Cpu* this_cpu() {
    Cpu* cpu;
    asm volatile("movq helix_hosted_cpu@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0" : "=r"(cpu)::"memory");
    return cpu;
}
/// The machine that runs this; the same on each of its CPUs, so it does not become stale. On a CPU only.
inline __attribute__((always_inline)) Port& this_port() {
    return *this_cpu()->port;
}

inline __attribute__((always_inline)) bool reschedule_wanted() {
    uint32_t word;
    asm volatile("movl %%gs:0, %0" : "=r"(word)::"memory");
    return (word & kNoRescheduleWanted) == 0;
}
/// Lowers the count without looking whether a reschedule is wanted.
inline __attribute__((always_inline)) void preempt_lower() {
    asm volatile("decl %%gs:0" ::: "memory", "cc");
}

/// Whether somebody wants the calling CPU to stop for good. Own CPU.
inline __attribute__((always_inline)) bool must_stop(const Cpu& cpu) {
    if (!cpu.inside) return false;
    if (__atomic_load_n(&cpu.port->powering_off, __ATOMIC_RELAXED) != 0) return true;
    const uint32_t halting = __atomic_load_n(&cpu.port->halting_cpu, __ATOMIC_RELAXED);
    return halting != 0 && halting != cpu.index + 1;
}

/// A system call without errno and without any library: result, or minus the error.
inline __attribute__((always_inline)) long system_call(long number, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0,
                                                       uint64_t d = 0, uint64_t e = 0) {
    long result = number;
    register uint64_t r10 asm("r10") = d;
    register uint64_t r8 asm("r8") = e;
    asm volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory", "cc");
    return result;
}
template <typename T>
inline uint64_t word_of(T* pointer) {
    return reinterpret_cast<uint64_t>(pointer);
}

/// Writes all of `text` to `file`, whatever it takes; gives up on an error. Any context.
void write_all(int file, Text text);
/// Says why this machine cannot go on, restores the terminal and ends the process. Any context.
[[noreturn]] void fatal(Text reason, uint64_t number = 0);

/// While one of these lives nobody stops this CPU: for calls of libc and of sanitizers' runtimes, which may hold locks
/// that others will need, and for the port's own. Any context; preemption is off meanwhile.
class HostCall {
public:
    HostCall() {
        preempt_disable();
        begin(*this_cpu());
    }
    ~HostCall() {
        end(*this_cpu());
        preempt_enable();
    }
    HostCall(const HostCall&) = delete;
    HostCall& operator=(const HostCall&) = delete;

    /// The same for calls that end on another stack. Preemption off.
    static __attribute__((always_inline)) void begin(Cpu& cpu) {
        __atomic_store_n(&cpu.unstoppable, cpu.unstoppable + 1, __ATOMIC_RELAXED);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    }
    static void end(Cpu& cpu);
};

// ---- cpus.cpp
/// Makes the pthreads of `port`; the boot CPU's starts the kernel. Errors: OutOfMemory (those that were made end).
Result<void> cpus_create(Port& port);
/// Waits until all of them ended.
void cpus_join(Port& port);
/// Prepares a CPU's stack and members for boot_entry: %gs, sanitizers' records, the context.
void cpu_prepare(Cpu& cpu);
/// Leaves the kernel for good, or until start_cpu, wherever the calling CPU is. Not under replay.
[[noreturn]] void cpu_leave();
/// If somebody wants this CPU to stop, it does. Any context that is no place inside a sanitizer's runtime.
void stop_if_asked(Port& port);
/// Takes one bit of those in `which` from the pending ones, or 0. Own CPU.
uint32_t take_pending(Cpu& cpu, uint32_t which);
/// Calls the kernel with all that is pending for this CPU and that no signal will bring. Preemption count as the caller
/// left it; it is raised for each call and lowered afterwards. May switch threads when it was zero.
void deliver_pending();
/// Makes %gs point to `local`.
void set_gs(const Port& port, CpuLocal* local);
void block_all_signals();
/// Sends a signal to a CPU's pthread. The host may be short of room for signals for a while.
void send(const Cpu& cpu, int signal);
/// Whether the kernel is to be told that the signal of `line`, which has come, is there: once for each time that it was
/// enabled. Any context.
bool take_line(Port& port, uint32_t line);

// ---- console.cpp
void console_open(Console& console, const Options& options);
void console_close(Console& console);
void console_restore(Console& console);
/// Fetches what was typed, if there is room. True if bytes wait to be read. Preemption off.
bool console_refill(Console& console);
bool console_has_bytes(const Console& console);
/// Whether bytes came that the kernel does not know of. Preemption off.
bool console_is_news(const Console& console);
inline void console_told(Console& console) {
    console.told = __atomic_load_n(&console.head, __ATOMIC_RELAXED);
    console.script_told = true;
}

// ---- context.cpp
void sanitizer_adopt(Cpu& cpu);
void sanitizer_forget(Cpu& cpu);
/// The frames between `low` and the stack pointer of `gate` are gone.
void sanitizer_cut(uint64_t low, const Gate& gate);

// ---- memory.cpp
Result<void> memory_create(Port& port, uint64_t bytes);
void memory_destroy(Port& port);
bool is_mapped(const Port& port, uint64_t address);

// ---- time.cpp
uint64_t host_now_ns();
/// Ends the calling CPU's timer.
void timer_end(Cpu& cpu);
/// Whether the deadline was reached; then none is set any more. An interrupt may be late for another deadline, or have
/// been lost: otherwise the host is told once more. Own CPU, not under replay.
bool timer_is_due(Cpu& cpu);
/// If a deadline is set: tells the host once more, after an interrupt that was lost. Own CPU.
void timer_again(Cpu& cpu);
/// Tells the kernel that bytes wait. Preemption count as for deliver_pending.
void deliver_console_input();

// ---- replay.cpp
void replay_start(Replay& replay, uint64_t seed);
void replay_point(Port& port);
void replay_idle(Port& port);
void replay_spin(Port& port);
/// Continues CPU `to` until somebody continues the calling one, `from`. Preemption off or on: nothing else can come.
void replay_switch(Cpu& from, Cpu& to);
Result<void> replay_start_cpu(Port& port, Cpu& cpu);
[[noreturn]] void replay_stop_cpu(Port& port, Cpu& cpu);
void replay_halt_others(Port& port, Cpu& cpu);
[[noreturn]] void replay_end(Port& port);
void replay_stalled(Port& port, kernel::TrapFrame& frame);
void replay_hash(Replay& replay, Bytes bytes);
void replay_summary(const Port& port);

// ---- trap.cpp
void traps_install();
void traps_install_line(uint32_t line);
/// Gives the calling CPU its alternate stack and lets faults in; the second one lets interrupts in.
void traps_enter(Cpu& cpu);
void traps_allow_interrupts();
/// Undoes both, and forgets the interrupts that wait.
void traps_leave();

}  // namespace helix::arch::hosted

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The seam: everything that the portable kernel needs from a port, and everything that a port calls in the kernel.
//
// A port is one folder that defines the functions of `helix::arch` below and calls those of `helix::kernel` at the
// end. Interrupts stay enabled throughout kernel and modules; what must not be interrupted for long raises the
// preemption count instead (helix/gate.hpp). An interrupt handler runs on the stack of the thread that it
// interrupted. It touches no lock and no list unless the count was zero before it raised it.
#pragma once

#include "helix/gate.hpp"
#include "helix/result.hpp"

namespace helix::kernel {
struct TrapFrame;  ///< an interrupted context; each port defines its own
}

namespace helix::arch {

using PhysicalAddress = uint64_t;

/// Free physical memory, page-aligned; `end` is exclusive.
struct MemoryRange {
    PhysicalAddress begin;
    PhysicalAddress end;
};

/// Addresses for the kernel's own mappings (stacks, modules, tables), page-aligned, nothing mapped yet.
struct VirtualRange {
    uint64_t begin;
    uint64_t end;
};

/// What the port tells the kernel. Everything in it lives as long as the kernel.
struct BootInfo {
    Bytes bundle;       ///< cpio archive with the profile and the static modules
    Bytes initrd;       ///< cpio archive with the dynamic modules and files; may be empty
    Text command_line;  ///< words "key=value"
    Span<const MemoryRange> memory;
    VirtualRange region;    ///< at least 4 GiB
    uint32_t cpu_count;     ///< CPUs that will run; 1 to kMaximumCpus
    uint64_t entry_cycles;  ///< cycles() when the port got control
    size_t stack_overhead;  ///< bytes that every thread's stack needs beyond its size, for interrupts; whole pages
    bool has_watchdog;      ///< CpuInterrupt::Watchdog arrives also where interrupts are disabled, and they can be
};
inline constexpr uint32_t kMaximumCpus = 64;

// ---- Console. Any context, also interrupt handlers; the bytes go out before the call returns.

void console_write(Text text);
/// The next byte typed, or -1. Never waits. One thread at a time.
int console_read();

// ---- Time.

/// Nanoseconds since boot, monotonic, the same on every CPU. Any context.
uint64_t now_ns();
/// The CPU's cycle counter (instructions under an emulator that counts them). Any context.
uint64_t cycles();
inline constexpr uint64_t kNever = UINT64_MAX;
/// From now on interrupts come on this CPU: the timer's when set_timer asks for one, calls, and on the boot CPU the
/// console's. Once for each start of a CPU; preemption off.
void start_interrupts();
/// This CPU calls kernel::on_timer once, when now_ns has reached `deadline_ns`: as soon after it as the hardware can,
/// never before. A deadline that has passed is due at once. The one set before is forgotten, kNever sets none; an
/// interrupt for an earlier one may be on its way. After start_interrupts. Preemption off, or in an interrupt handler;
/// a handler that sets the timer while the code that it interrupted is doing so may lose either deadline.
void set_timer(uint64_t deadline_ns);

// ---- Lines, by which devices interrupt: on whichever CPU the port chooses. A port numbers its own, from 0.

inline constexpr uint32_t kMaximumLines = 32;
/// Whether `line` can be the kernel's. Errors: InvalidArgument (no such line), Busy (the port uses it, and says for
/// what), NotSupported (there is none here).
Result<void> line_check(uint32_t line);
/// The next interrupt on `line`, which line_check allows, calls kernel::on_line; those after that do not until this is
/// called again, and may be lost. Nothing if it is enabled. Any thread context.
void line_enable(uint32_t line);
/// No interrupt on `line` calls any more; one may be on its way. Any thread context.
void line_disable(uint32_t line);

// ---- This CPU.

/// Makes `%gs` point to `local` on the calling CPU. Before anything that uses cpu_local().
void set_cpu_local(CpuLocal* local);
/// Waits until an interrupt came or a reschedule is wanted (bit 31 of the preemption word is clear), and returns.
/// Called by a CPU's idle thread with the preemption count at one; the wait itself loses no wake-up.
void idle();
/// A hint inside a spinning loop. Does not give up the CPU.
void spin_hint();
/// Ends the machine or process with `status` (0 success, 1 to 127 failure) as its exit status.
[[noreturn]] void power_off(uint8_t status);
/// Restarts the machine; a port that cannot powers off with status 1.
[[noreturn]] void restart();
/// A place where replay may preempt or advance its clock; nothing otherwise. Preemption count zero or not.
void preemption_point();

// ---- Other CPUs. Those of BootInfo are numbered from 0, the boot CPU; each is started at most once at a time.

/// Starts CPU `id`, which never ran or has stopped: it calls kernel::cpu_main(id). Returns when it does. Thread
/// context, preemption on; one caller at a time. Errors: TimedOut (it does not answer; it stays off), InvalidArgument
/// (no such CPU, or the boot CPU, which never stops), InvalidState (it runs).
Result<void> start_cpu(CpuId id);
/// Ends the calling CPU's part in the kernel: it sleeps without interrupts until start_cpu. What runs on it must not be
/// needed again, its stack included: called by its idle thread, with the preemption count at one.
[[noreturn]] void stop_cpu();
/// Stops all other CPUs for good, wherever they are, without a handler of the kernel's. For panics. Any context.
void halt_other_cpus();

enum class CpuInterrupt : uint32_t {
    Call = 0,      ///< calls kernel::on_interrupt
    Watchdog = 1,  ///< calls kernel::on_watchdog, also where interrupts are disabled if the port can (hosted cannot)
};
/// Interrupts CPU `id`, which runs; the calling CPU itself is allowed. Whatever this CPU wrote before is seen by the
/// handler there. Two interrupts of a kind may arrive as one. Any context.
void interrupt_cpu(CpuId id, CpuInterrupt kind);

// ---- Contexts. A suspended thread is its stack pointer; everything else is on its stack.

struct ThreadContext {
    uint64_t stack_pointer = 0;
    void* sanitizer = nullptr;  ///< of the port: what context_announce keeps for sanitizers
};
/// Prepares `context` so that the first switch to it calls `entry(argument)` on `stack`, with the preemption count
/// as the switching thread left it. `entry` never returns.
void context_create(ThreadContext& context, MutableBytes stack, void (*entry)(void*), void* argument);
/// Saves the running context in `from` and continues `to`. Preemption count above zero.
void context_switch(ThreadContext& from, ThreadContext& to);
/// Names the stack to sanitizers that follow threads; nothing otherwise. Called before the first switch, after the
/// last.
void context_announce(ThreadContext& context, MutableBytes stack);
void context_retire(ThreadContext& context);

// ---- Gates.

/// Continues behind `gate` with `failure`, restoring the preemption count, direction flag, rsp, rbp and rbx as the
/// call sequence in helix/gate.hpp expects. From thread context.
[[noreturn]] void gate_resume(Gate& gate, GateFailure failure);
/// Makes the interrupted context continue behind `gate` in the same way, with interrupts enabled, when the
/// handler returns.
void trap_resume_at_gate(kernel::TrapFrame& frame, Gate& gate, GateFailure failure);
uint64_t trap_instruction_pointer(const kernel::TrapFrame& frame);
uint64_t trap_stack_pointer(const kernel::TrapFrame& frame);
uint64_t trap_frame_pointer(const kernel::TrapFrame& frame);
/// Whether interrupts were enabled there. Always, in a port without a way to disable them.
bool trap_interrupts_enabled(const kernel::TrapFrame& frame);

// ---- Memory. Physical memory is visible as a whole at direct_map; mappings elsewhere are made page by page.

enum class Protection : uint32_t { Read = 0, ReadWrite = 1, ReadExecute = 2 };

/// The direct map keeps alignments up to this: blocks of the allocators rely on it.
inline constexpr uint64_t kDirectMapAlignment = uint64_t{2} << 20;
/// Where the kernel sees physical address `address`; readable and writable.
void* direct_map(PhysicalAddress address);
/// The inverse, for pointers that direct_map returned.
PhysicalAddress physical_of(const void* pointer);
/// Maps `count` pages from `address` on at `at`, which lies in BootInfo::region and is not mapped. Frames for
/// translation tables come from kernel::allocate_frame. One caller at a time. Errors: OutOfMemory (undone).
Result<void> map(void* at, PhysicalAddress address, size_t count, Protection protection);
/// Undoes map for `count` pages at `at`; afterwards no CPU sees them. Pages that are not mapped are skipped.
void unmap(void* at, size_t count);

// ---- Kernel text, for backtraces and for telling kernel from module code.

bool is_kernel_text(uint64_t address);

}  // namespace helix::arch

namespace helix::kernel {

enum class FaultKind : uint32_t {
    PageFault,      ///< `address` is the address that was touched
    StackOverflow,  ///< touched the guard page below a stack, or no room for a signal frame
    DivideError,
    InvalidOpcode,
    GeneralProtection,  ///< also a non-canonical address
    Breakpoint,
    Other,
};
struct Fault {
    FaultKind kind;
    uint64_t address;
    bool write;
    bool execute;
};

// ---- What a port calls. All are defined in kernel/.

/// Starts the kernel on the boot CPU, on a stack of at least 16 KiB; `%gs` is not set yet. Never returns.
[[noreturn]] void kernel_main(const arch::BootInfo& boot);

/// A deadline of set_timer was reached; none is set now. The handler has raised the preemption count by one and
/// acknowledged the interrupt; it lowers the count afterwards without rescheduling and returns to `frame`. When the
/// count is exactly one, interrupts are enabled and this may switch threads; when it is more, interrupts may be
/// disabled, so that they do not pile up on a stack.
void on_timer(TrapFrame& frame);

/// The first code of a CPU that start_cpu started, on a stack of the port's own of at least 16 KiB; `%gs` is not set
/// yet. Never returns: it may leave that stack and must not come back to it.
[[noreturn]] void cpu_main(CpuId id);

/// Another CPU used interrupt_cpu with Call. Same conditions as on_timer.
void on_interrupt(TrapFrame& frame);

/// Another CPU used interrupt_cpu with Watchdog. Conditions as for on_fault, except that nothing went wrong in the
/// interrupted code: it may be anywhere, also in the kernel, in a port or with a lock held. Touches only atomics.
void on_watchdog(TrapFrame& frame);

/// Bytes can be read from the console. Same conditions as on_timer.
void on_console_input(TrapFrame& frame);

/// An interrupt came on `line`, which was enabled and is not any more. Same conditions as on_timer.
void on_line(TrapFrame& frame, uint32_t line);

/// A CPU exception or signal, on a stack of the port's own (x86_64: IST; hosted: the alternate stack), with the
/// preemption count raised by one. Either rewrites `frame` with trap_resume_at_gate and returns, or panics. `frame` is
/// what faulted.
void on_fault(TrapFrame& frame, const Fault& fault);

/// One zeroed page frame for a translation table. Errors: OutOfMemory.
Result<arch::PhysicalAddress> allocate_frame();
void free_frame(arch::PhysicalAddress frame);

}  // namespace helix::kernel

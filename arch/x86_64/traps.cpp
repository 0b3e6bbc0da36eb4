// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Descriptor tables, exceptions to kernel::on_fault, and the way back to a gate.

#include "arch/x86_64/trap.hpp"

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/cpus.hpp"
#include "arch/x86_64/devices.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/paging.hpp"
#include "arch/x86_64/stacks.hpp"

extern "C" {
extern const uint8_t exception_stubs[];
void interrupt_timer();
void interrupt_console();
void interrupt_call();
void interrupt_flush();
void interrupt_spurious();
extern const uint8_t interrupt_lines[];
}

namespace helix::x86_64 {

using kernel::Fault;
using kernel::FaultKind;
using kernel::TrapFrame;

namespace {

constexpr uint16_t kCodeSelector = 0x08;
constexpr uint16_t kTaskSelector = 0x28;
constexpr uint64_t kStubSize = 16;
constexpr uint64_t kLineStubSize = 8;

enum Vector : uint64_t {
    kDivideError = 0,
    kNonMaskable = 2,
    kBreakpoint = 3,
    kInvalidOpcode = 6,
    kNoCoprocessor = 7,
    kDoubleFault = 8,
    kInvalidTask = 10,
    kSegmentAbsent = 11,
    kStackSegment = 12,
    kGeneralProtection = 13,
    kPageFault = 14,
    kMachineCheck = 18,
};

constexpr uint64_t kErrorPresent = 1, kErrorWrite = 2, kErrorExecute = 16;

struct [[gnu::packed]] TaskState {
    uint32_t reserved0;
    uint64_t ring_stack[3];
    uint64_t reserved1;
    uint64_t interrupt_stack[7];
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t permission_map;
};
static_assert(sizeof(TaskState) == 104);

struct InterruptDescriptor {
    uint16_t offset_low;
    uint16_t selector;
    uint8_t stack;
    uint8_t type;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
};
static_assert(sizeof(InterruptDescriptor) == 16);

struct [[gnu::packed]] TablePointer {
    uint16_t limit;
    uint64_t base;
};

enum Stack : uint8_t { kFaultStack = 1, kDoubleFaultStack, kNonMaskableStack, kMachineCheckStack };
static_assert(kMachineCheckStack - kDoubleFaultStack + 1 == kRareStacks);

/// The tables of one CPU. Only that CPU touches them.
struct CpuTables {
    uint64_t descriptors[7];
    bool local_set;  ///< `%gs` is good
    TaskState task;
};

[[gnu::section(".bss.page")]] alignas(kPageSize) InterruptStacks boot_stacks;
CpuTables cpu_tables[arch::kMaximumCpus];
InterruptDescriptor interrupts[kVectorCount];

InterruptStacks& interrupt_stacks(CpuId id) {
    return id == 0 ? boot_stacks : cpu_stacks(id).interrupt;
}

void set_interrupt(uint64_t vector, uint64_t handler, uint8_t stack) {
    interrupts[vector] = {static_cast<uint16_t>(handler),
                          kCodeSelector,
                          stack,
                          0x8e,
                          static_cast<uint16_t>(handler >> 16),
                          static_cast<uint32_t>(handler >> 32),
                          0};
}

uint8_t stack_of(uint64_t vector) {
    switch (vector) {
        case kNonMaskable: return kNonMaskableStack;
        case kDoubleFault: return kDoubleFaultStack;
        case kMachineCheck: return kMachineCheckStack;
        default: return kFaultStack;
    }
}

/// A touch of the page that ends a stack, or of anything while the stack pointer itself lies in unmapped memory.
bool is_stack_overflow(const TrapFrame& frame, uint64_t address) {
    if ((frame.error & kErrorPresent) != 0) return false;
    const uint64_t stack_page = round_down(frame.rsp, kPageSize);
    const uint64_t page = round_down(address, kPageSize);
    return page == stack_page || page == stack_page - kPageSize || !is_mapped(frame.rsp);
}

Fault describe(const TrapFrame& frame, uint64_t address) {
    switch (frame.vector) {
        case kDivideError: return {FaultKind::DivideError, 0, false, false};
        case kBreakpoint: return {FaultKind::Breakpoint, 0, false, false};
        case kInvalidOpcode:
        case kNoCoprocessor: return {FaultKind::InvalidOpcode, 0, false, false};
        case kDoubleFault: return {FaultKind::StackOverflow, frame.rsp, true, false};
        case kInvalidTask:
        case kSegmentAbsent:
        case kStackSegment:
        case kGeneralProtection: return {FaultKind::GeneralProtection, 0, false, false};
        case kPageFault:
            return {is_stack_overflow(frame, address) ? FaultKind::StackOverflow : FaultKind::PageFault, address,
                    (frame.error & kErrorWrite) != 0, (frame.error & kErrorExecute) != 0};
        default: return {FaultKind::Other, 0, false, false};
    }
}

void write_number(uint64_t value) {
    char digits[16];
    for (int i = 15; i >= 0; --i, value >>= 4) digits[i] = "0123456789abcdef"[value & 15];
    arch::console_write(Text(digits, sizeof(digits)));
}

/// The kernel cannot take a fault before it has a CpuLocal.
[[noreturn]] void end_early(const TrapFrame& frame, uint64_t address) {
    arch::console_write("helix: exception before the kernel was ready: vector ");
    write_number(frame.vector);
    arch::console_write(" error ");
    write_number(frame.error);
    arch::console_write(" rip ");
    write_number(frame.rip);
    arch::console_write(" rsp ");
    write_number(frame.rsp);
    arch::console_write(" address ");
    write_number(address);
    arch::console_write("\n");
    arch::power_off(127);
}

/// Sets the fault stack's top for code that runs with stack pointer `at`: below the handler there, if it is one.
void set_fault_stack_top(CpuId id, uint64_t at) {
    InterruptStacks& stacks = interrupt_stacks(id);
    const uint64_t begin = address_of(stacks.fault);
    uint64_t top = begin + sizeof(stacks.fault);
    if (at > begin && at <= top) top -= ((top - at) / kFaultStackSize + 1) * kFaultStackSize;
    cpu_tables[id].task.interrupt_stack[kFaultStack - 1] = top;
}

}  // namespace

bool is_boot_stack_guard(uint64_t address) {
    const uint64_t begin = address_of(&boot_stacks);
    return address >= begin && address < begin + sizeof(boot_stacks) && is_guard_page(address - begin);
}

bool has_cpu_local() {
    return cpu_tables[this_cpu()].local_set;
}

void traps_load(CpuId id) {
    CpuTables& tables = cpu_tables[id];
    InterruptStacks& stacks = interrupt_stacks(id);
    tables = {};
    tables.task.interrupt_stack[kFaultStack - 1] = address_of(stacks.fault + sizeof(stacks.fault));
    for (uint64_t i = 0; i < kRareStacks; ++i)
        tables.task.interrupt_stack[kDoubleFaultStack - 1 + i] = address_of(stacks.rare[i].stack + kRareStackSize);
    tables.task.permission_map = sizeof(TaskState);

    const uint64_t task = address_of(&tables.task);
    uint64_t* const descriptors = tables.descriptors;
    descriptors[1] = 0x00af'9a00'0000'ffff;  // 64-bit code
    descriptors[2] = 0x00cf'9200'0000'ffff;  // data
    descriptors[kNumberEntry] = id;          // to the CPU, a segment that is absent
    descriptors[kTaskSelector / 8] =
        0x0000'8900'0000'0000 | (sizeof(TaskState) - 1) | (task & 0xff'ffff) << 16 | (task >> 24 & 0xff) << 56;
    descriptors[kTaskSelector / 8 + 1] = task >> 32;
    const TablePointer global{sizeof(tables.descriptors) - 1, address_of(descriptors)};
    asm volatile("lgdt %0" ::"m"(global));
    asm volatile("ltr %0" ::"r"(kTaskSelector));
    const TablePointer table{sizeof(interrupts) - 1, address_of(interrupts)};
    asm volatile("lidt %0" ::"m"(table));
}

void traps_initialize() {
    for (uint64_t vector = 0; vector < 32; ++vector)
        set_interrupt(vector, address_of(exception_stubs) + kStubSize * vector, stack_of(vector));
    set_interrupt(kVectorTimer, reinterpret_cast<uint64_t>(interrupt_timer), 0);
    set_interrupt(kVectorConsole, reinterpret_cast<uint64_t>(interrupt_console), 0);
    set_interrupt(kVectorCall, reinterpret_cast<uint64_t>(interrupt_call), 0);
    set_interrupt(kVectorFlush, reinterpret_cast<uint64_t>(interrupt_flush), 0);
    set_interrupt(kVectorSpurious, reinterpret_cast<uint64_t>(interrupt_spurious), 0);
    for (uint64_t line = 0; line < kLines; ++line)
        set_interrupt(kVectorLines + line, address_of(interrupt_lines) + kLineStubSize * line, 0);
    traps_load(0);
}

namespace {
/// What exception_common calls, with the preemption count raised where there is one.
void handle_exception(TrapFrame& frame, bool local_set) {
    const uint64_t address = frame.vector == kPageFault ? read_cr2() : 0;
    const CpuId id = this_cpu();
    if (frame.vector == kNonMaskable) {
        const uint64_t stack = frame.rsp;
        if (take_non_maskable(frame, local_set)) {
            if (frame.rsp != stack) {  // sent to a gate, away from whatever went on
                set_fault_stack_top(id, frame.rsp);
                interrupts_acknowledge_lost();
            }
            return;
        }
    }
    if (!local_set) end_early(frame, address);
    if (stack_of(frame.vector) == kFaultStack) {
        set_fault_stack_top(id, address_of(&frame));
        // An interrupt whose frame hit the end of a stack is in service, but its handler never ran.
        interrupts_acknowledge_lost();
    }
    kernel::on_fault(frame, describe(frame, address));
    set_fault_stack_top(id, frame.rsp);
}
}  // namespace

extern "C" void x86_64_exception(TrapFrame& frame) {
    const bool local_set = cpu_tables[this_cpu()].local_set;
    if (local_set) asm volatile("incl %%gs:0" ::: "memory", "cc");
    handle_exception(frame, local_set);
    // Without a look whether another thread should run, as behind interrupts.
    if (local_set) asm volatile("decl %%gs:0" ::: "memory", "cc");
}

}  // namespace helix::x86_64

namespace helix::arch {

using kernel::TrapFrame;

void set_cpu_local(CpuLocal* local) {
    x86_64::write_msr(x86_64::kMsrGsBase, reinterpret_cast<uint64_t>(local));
    x86_64::cpu_tables[x86_64::this_cpu()].local_set = true;
}

void gate_resume(Gate& gate, GateFailure failure) {
    set_preempt_count(gate.preempt_count());
    asm volatile(
        "movq 24(%%rbx), %%rbp\n\t"
        "movq 8(%%rbx), %%rsp\n\t"
        "cld\n\t"
        "sti\n\t"
        "jmpq *16(%%rbx)" ::"b"(&gate),
        "c"(static_cast<uint32_t>(failure))
        : "memory");
    __builtin_unreachable();
}

void trap_resume_at_gate(TrapFrame& frame, Gate& gate, GateFailure failure) {
    // The return path lowers the count that the entry raised.
    set_preempt_count(gate.preempt_count() + 1);
    frame.rip = gate.resume;
    frame.rsp = gate.stack_pointer;
    frame.rbp = gate.frame_pointer;
    frame.rbx = reinterpret_cast<uint64_t>(&gate);
    frame.rcx = static_cast<uint32_t>(failure);
    frame.rflags = x86_64::kFlagInterrupt | 2;
}
uint64_t trap_instruction_pointer(const TrapFrame& frame) {
    return frame.rip;
}
uint64_t trap_stack_pointer(const TrapFrame& frame) {
    return frame.rsp;
}
uint64_t trap_frame_pointer(const TrapFrame& frame) {
    return frame.rbp;
}
bool trap_interrupts_enabled(const TrapFrame& frame) {
    return (frame.rflags & x86_64::kFlagInterrupt) != 0;
}

}  // namespace helix::arch

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Local APICs (x2APIC where the CPU has it, else xAPIC), I/O APIC, and the handlers of their interrupts.

#include <atomic>
#include <initializer_list>

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/cpus.hpp"
#include "arch/x86_64/devices.hpp"
#include "arch/x86_64/paging.hpp"
#include "arch/x86_64/shootdown.hpp"
#include "arch/x86_64/trap.hpp"

namespace helix::x86_64 {

namespace {

// Registers of the local APIC, as offsets of the memory-mapped form; the MSR form has one number for 16 bytes.
enum ApicRegister : uint32_t {
    kIdentity = 0x020,
    kTaskPriority = 0x080,
    kEndOfInterrupt = 0x0b0,
    kSpurious = 0x0f0,
    kInService = 0x110,  // of vectors 32 to 63
    kCommand = 0x300,
    kCommandTarget = 0x310,  // memory-mapped form only
    kLvtTimer = 0x320,
    kLvtLint0 = 0x350,
    kTimerInitial = 0x380,
    kTimerCurrent = 0x390,
    kTimerDivide = 0x3e0,
};
constexpr uint64_t kApicEnabled = 1u << 11, kApicX2 = 1u << 10;
constexpr uint32_t kMasked = 1u << 16, kByCycles = 2u << 17, kSoftwareEnable = 1u << 8;
constexpr uint32_t kDivideByOne = 0xb;
constexpr uint32_t kCommandPending = 1u << 12, kCommandAssert = 1u << 14;

constexpr arch::PhysicalAddress kIoApicAddress = 0xfec0'0000;
constexpr uint32_t kIoApicVersion = 1, kIoApicRedirection = 0x10;
constexpr uint32_t kConsoleLine = 4;  // COM1, on every machine that has one

// Written at boot. Null: x2APIC, and no I/O APIC.
volatile uint32_t* apic_registers = nullptr;
volatile uint32_t* io_apic_registers = nullptr;
bool timer_takes_cycles = false;

void apic_write(ApicRegister index, uint32_t value) {
    if (apic_registers != nullptr)
        apic_registers[index / 4] = value;
    else
        write_msr(0x800 + index / 16, value);
}
uint32_t apic_read(ApicRegister index) {
    return apic_registers != nullptr ? apic_registers[index / 4] : static_cast<uint32_t>(read_msr(0x800 + index / 16));
}

void io_apic_write(uint32_t index, uint32_t value) {
    io_apic_registers[0] = index;
    io_apic_registers[4] = value;
}
uint32_t io_apic_read(uint32_t index) {
    io_apic_registers[0] = index;
    return io_apic_registers[4];
}

/// What an interrupt on `line` does: a vector of the boot CPU's, or kMasked. Its two registers are one CPU's at a time;
/// fixed delivery, edge triggered, active high, physical destination.
[[gnu::noinline]] void set_line(uint32_t line, uint32_t entry) {
    static std::atomic<bool> busy;
    const InterruptGuard guard;
    while (busy.exchange(true)) arch::spin_hint();
    io_apic_write(kIoApicRedirection + 2 * line + 1, cpus[0].apic_id << 24);
    io_apic_write(kIoApicRedirection + 2 * line, entry);
    busy = false;
}

void pic_mask() {
    out8(0x21, 0xff);
    out8(0xa1, 0xff);
}

/// In a handler: interrupts on, if this is the outermost. Above a count of one the kernel makes but a note, and cannot
/// switch: there another interrupt can wait, and they do not pile up on the stack however fast they come.
void interrupts_on_in_outermost() {
    uint32_t word;
    asm volatile("movl %%gs:0, %0" : "=r"(word)::"memory");
    if ((word & ~kNoRescheduleWanted) == 1) interrupts_on();
}

}  // namespace

void local_apic_initialize() {
    uint64_t base = read_msr(kMsrApicBase);
    const bool x2 = (cpuid(1).ecx & 1u << 21) != 0;
    // One step at a time: a disabled APIC becomes an xAPIC, that an x2APIC.
    for (const uint64_t bit : {kApicEnabled, x2 ? kApicX2 : kApicEnabled}) {
        if ((base & bit) != 0) continue;
        base |= bit;
        write_msr(kMsrApicBase, base);
    }
    if ((base & kApicX2) == 0 && apic_registers == nullptr)
        apic_registers = static_cast<volatile uint32_t*>(map_device(base & 0x000f'ffff'ffff'f000, 4096));
    apic_write(kSpurious, kSoftwareEnable | kVectorSpurious);
    apic_write(kTaskPriority, 0);
    apic_write(kLvtLint0, kMasked);
    apic_write(kLvtTimer, kMasked);
    apic_write(kTimerDivide, kDivideByOne);
    timer_takes_cycles = (cpuid(1).ecx & 1u << 24) != 0;
    timer_forget();
}

void local_apic_stop() {
    apic_write(kLvtTimer, kMasked);
    apic_write(kTimerInitial, 0);
    if (timer_takes_cycles) write_msr(kMsrTimeStampDeadline, 0);
}

void interrupts_initialize() {
    pic_mask();
    local_apic_initialize();
    io_apic_registers = static_cast<volatile uint32_t*>(map_device(kIoApicAddress, 4096));
    const uint32_t version = io_apic_read(kIoApicVersion);
    if (version == 0xffff'ffff || version == 0) {
        io_apic_registers = nullptr;
        return;
    }
    const uint32_t last = version >> 16 & 0xff;
    for (uint32_t line = 0; line <= last; ++line) io_apic_write(kIoApicRedirection + 2 * line, kMasked);
}

void interrupts_start() {
    interrupts_off();
    apic_write(kLvtTimer, kVectorTimer | (apic_timer_takes_cycles() ? kByCycles : 0));
    // The mode is memory's affair and the deadline a register's: in this order (Intel SDM 3A, 11.5.4.1).
    if (apic_timer_takes_cycles()) asm volatile("mfence" ::: "memory");
    if (this_cpu() == 0) {
        if (io_apic_registers != nullptr) set_line(kConsoleLine, kVectorConsole);
        // An edge that came while the line was masked is gone; what it announced is not.
        if (serial_receive()) apic_send(cpus[0].apic_id, kVectorConsole);
    }
    interrupts_on();
}

uint32_t apic_id() {
    const uint32_t identity = apic_read(kIdentity);
    return apic_registers != nullptr ? identity >> 24 : identity;
}

bool apic_reaches(uint32_t apic_id) {
    constexpr uint32_t kBroadcast = 0xff;
    return apic_registers == nullptr ? apic_id != UINT32_MAX : apic_id < kBroadcast;
}

void apic_send(uint32_t apic_id, uint32_t command) {
    if (apic_registers == nullptr) {
        // A write of an MSR may overtake stores; neither fence alone holds it back.
        asm volatile("mfence\n\tlfence" ::: "memory");
        write_msr(0x800 + kCommand / 16, static_cast<uint64_t>(apic_id) << 32 | kCommandAssert | command);
        return;
    }
    // Two registers and one CPU. Only a non-maskable interrupt can come between: it leaves them as it found them, and
    // the command that it sends is gone when it returns.
    const InterruptGuard guard;
    const uint32_t target = apic_read(kCommandTarget);
    apic_write(kCommandTarget, apic_id << 24);
    apic_write(kCommand, kCommandAssert | command);
    for (uint32_t polls = 0; polls < 1'000'000 && (apic_read(kCommand) & kCommandPending) != 0; ++polls) {
    }
    apic_write(kCommandTarget, target);
}

void interrupts_acknowledge_lost() {
    for (uint32_t pending = apic_read(kInService); pending != 0;) {
        const uint32_t highest = 31 - static_cast<uint32_t>(__builtin_clz(pending));
        // The line rises again only when the device was emptied.
        if (highest + 32 == kVectorConsole) serial_receive();
        apic_write(kEndOfInterrupt, 0);
        if (highest + 32 == kVectorFlush)
            answer_shootdown();
        else
            apic_send(cpus[this_cpu()].apic_id, highest + 32);  // nobody would send it again
        pending &= ~(1u << highest);
    }
}

void apic_timer_count_down() {
    apic_write(kTimerInitial, 0xffff'ffff);
}
uint32_t apic_timer_elapsed() {
    return 0xffff'ffff - apic_read(kTimerCurrent);
}
void apic_timer_stop() {
    apic_write(kTimerInitial, 0);
}
bool console_is_polled() {
    return io_apic_registers == nullptr && this_cpu() == 0;
}

bool apic_timer_takes_cycles() {
    return timer_takes_cycles;
}
void apic_timer_start(uint32_t count) {
    if (!timer_takes_cycles)
        apic_write(kTimerInitial, count);
    else if (count == 0)
        write_msr(kMsrTimeStampDeadline, 0);
}
void apic_timer_start_at(uint64_t cycles) {
    write_msr(kMsrTimeStampDeadline, cycles);
}

extern "C" void x86_64_timer(kernel::TrapFrame& frame) {
    apic_write(kEndOfInterrupt, 0);
    const bool is_due = timer_is_due();
    const bool has_input = console_is_polled() && serial_receive();
    interrupts_on_in_outermost();
    if (has_input) kernel::on_console_input(frame);
    if (is_due) kernel::on_timer(frame);
    interrupts_off();
}

extern "C" void x86_64_call(kernel::TrapFrame& frame) {
    apic_write(kEndOfInterrupt, 0);
    cpus[this_cpu()].call_pending.exchange(false);
    interrupts_on_in_outermost();
    kernel::on_interrupt(frame);
    interrupts_off();
}

extern "C" void x86_64_flush(kernel::TrapFrame&) {
    apic_write(kEndOfInterrupt, 0);
    answer_shootdown();
}

extern "C" void x86_64_console(kernel::TrapFrame& frame) {
    serial_receive();
    apic_write(kEndOfInterrupt, 0);
    interrupts_on_in_outermost();
    kernel::on_console_input(frame);
    interrupts_off();
}

extern "C" void x86_64_line(kernel::TrapFrame& frame) {
    const auto line = static_cast<uint32_t>(frame.vector) - kVectorLines;
    set_line(line, kMasked);
    apic_write(kEndOfInterrupt, 0);
    interrupts_on_in_outermost();
    kernel::on_line(frame, line);
    interrupts_off();
}

}  // namespace helix::x86_64

namespace helix::arch {

using namespace x86_64;

Result<void> line_check(uint32_t line) {
    if (io_apic_registers == nullptr) return Error(ErrorCode::NotSupported, "this machine has no I/O APIC");
    if (line >= kLines) return Error(ErrorCode::InvalidArgument, "there are lines 0 to 15");
    if (line == kConsoleLine) return Error(ErrorCode::Busy, "line 4 belongs to the console");
    return {};
}
void line_enable(uint32_t line) {
    set_line(line, kVectorLines + line);
}
void line_disable(uint32_t line) {
    set_line(line, kMasked);
}

}  // namespace helix::arch

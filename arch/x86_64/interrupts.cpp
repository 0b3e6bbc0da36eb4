// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Local APIC (xAPIC, or x2APIC when the firmware left it on), I/O APIC, and the handlers of their interrupts.

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/devices.hpp"
#include "arch/x86_64/paging.hpp"
#include "arch/x86_64/trap.hpp"

namespace helix::x86_64 {

namespace {

// Registers of the local APIC, as offsets of the memory-mapped form; the MSR form has one number for 16 bytes.
enum ApicRegister : uint32_t {
    kTaskPriority = 0x080,
    kEndOfInterrupt = 0x0b0,
    kSpurious = 0x0f0,
    kInService = 0x110,  // of vectors 32 to 63
    kLvtTimer = 0x320,
    kLvtLint0 = 0x350,
    kTimerInitial = 0x380,
    kTimerCurrent = 0x390,
    kTimerDivide = 0x3e0,
};
constexpr uint64_t kApicEnabled = 1u << 11, kApicX2 = 1u << 10;
constexpr uint32_t kMasked = 1u << 16, kPeriodic = 1u << 17, kSoftwareEnable = 1u << 8;
constexpr uint32_t kDivideByOne = 0xb;

constexpr arch::PhysicalAddress kIoApicAddress = 0xfec0'0000;
constexpr uint32_t kIoApicVersion = 1, kIoApicRedirection = 0x10;
constexpr uint32_t kConsoleLine = 4;  // COM1, on every machine that has one

// Written at boot. Null: x2APIC, and no I/O APIC.
volatile uint32_t* apic_registers = nullptr;
volatile uint32_t* io_apic_registers = nullptr;
bool console_input_untold = false;  // the kernel has not been called for it; touched with interrupts off

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

void pic_mask() {
    out8(0x21, 0xff);
    out8(0xa1, 0xff);
}

}  // namespace

void interrupts_initialize() {
    pic_mask();
    uint64_t base = read_msr(kMsrApicBase);
    if ((base & kApicEnabled) == 0) {
        base |= kApicEnabled;
        write_msr(kMsrApicBase, base);
    }
    if ((base & kApicX2) == 0)
        apic_registers = static_cast<volatile uint32_t*>(map_device(base & 0x000f'ffff'ffff'f000, 4096));
    apic_write(kSpurious, kSoftwareEnable | kVectorSpurious);
    apic_write(kTaskPriority, 0);
    apic_write(kLvtLint0, kMasked);
    apic_write(kLvtTimer, kMasked);
    apic_write(kTimerDivide, kDivideByOne);

    io_apic_registers = static_cast<volatile uint32_t*>(map_device(kIoApicAddress, 4096));
    const uint32_t version = io_apic_read(kIoApicVersion);
    if (version == 0xffff'ffff || version == 0) {
        io_apic_registers = nullptr;
        return;
    }
    const uint32_t last = version >> 16 & 0xff;
    for (uint32_t line = 0; line <= last; ++line) io_apic_write(kIoApicRedirection + 2 * line, kMasked);
}

void interrupts_start(uint32_t timer_count) {
    if (io_apic_registers != nullptr) {
        // Fixed delivery, edge triggered, active high, to the boot CPU (physical destination 0).
        io_apic_write(kIoApicRedirection + 2 * kConsoleLine + 1, 0);
        io_apic_write(kIoApicRedirection + 2 * kConsoleLine, kVectorConsole);
    }
    apic_write(kLvtTimer, kVectorTimer | kPeriodic);
    apic_write(kTimerInitial, timer_count);
    // An edge that came while the line was masked is gone; what it announced is not.
    {
        const InterruptGuard guard;
        console_input_untold |= serial_receive();
    }
    interrupts_on();
}

void interrupts_acknowledge_lost() {
    for (uint32_t pending = apic_read(kInService); pending != 0;) {
        const uint32_t highest = 31 - static_cast<uint32_t>(__builtin_clz(pending));
        if (highest + 32 == kVectorConsole) {
            // The line rises again only when the device was emptied; the next tick tells the kernel.
            serial_receive();
            console_input_untold = true;
        }
        apic_write(kEndOfInterrupt, 0);
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

extern "C" void x86_64_timer(kernel::TrapFrame& frame) {
    apic_write(kEndOfInterrupt, 0);
    bool untold = console_input_untold;
    console_input_untold = false;
    if (io_apic_registers == nullptr) untold |= serial_receive();
    interrupts_on();
    if (untold) kernel::on_console_input(frame);
    kernel::on_timer(frame);
    interrupts_off();
}

extern "C" void x86_64_console(kernel::TrapFrame& frame) {
    serial_receive();
    apic_write(kEndOfInterrupt, 0);
    interrupts_on();
    kernel::on_console_input(frame);
    interrupts_off();
}

}  // namespace helix::x86_64

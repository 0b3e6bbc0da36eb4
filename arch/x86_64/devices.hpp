// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Serial port, interrupt controllers, clock and firmware, as the parts of the port use each other.
#pragma once

#include "arch/seam.hpp"

namespace helix::x86_64 {

// ---- serial.cpp

/// Sets up COM1 for polled output and buffered input.
void serial_initialize();
/// Moves what COM1 received into the input buffer; false if that was nothing. Any CPU, interrupts off.
bool serial_receive();
/// From now on the calling CPU writes without waiting for its turn: all others were halted.
void serial_keep();

// ---- interrupts.cpp

/// Silences the legacy controllers, sets up local APIC and I/O APIC with everything masked. After the final tables.
void interrupts_initialize();
/// Sets up the calling CPU's local APIC with everything masked. interrupts_initialize does it for the boot CPU.
void local_apic_initialize();
/// No more interrupts by this CPU's timer.
void local_apic_stop();
/// Lets interrupts through on this CPU: its timer's, and on the boot CPU the console's.
void interrupts_start();

/// The calling CPU's number in the interrupt system.
uint32_t apic_id();
/// Whether apic_send reaches CPUs with that number.
bool apic_reaches(uint32_t apic_id);
/// Commands for another CPU beside the vectors of trap.hpp.
inline constexpr uint32_t kApicNonMaskable = 0x400, kApicInit = 0x500, kApicStartup = 0x600;
/// Sends `command`, or an interrupt vector, to the CPU that has this APIC number; it may be this one. What was written
/// before is seen by its handler. Any context.
void apic_send(uint32_t apic_id, uint32_t command);

/// Ends interrupts that were delivered into a fault: in service, but without a handler that runs. Interrupts off,
/// outside interrupt handlers' own first lines.
void interrupts_acknowledge_lost();
/// The local APIC's timer counting silently, to be measured itself.
void apic_timer_count_down();
uint32_t apic_timer_elapsed();
void apic_timer_stop();
/// Whether the timer takes a value of the cycle counter. After local_apic_initialize.
bool apic_timer_takes_cycles();
/// One interrupt by the calling CPU's timer, after `count` of its own units unless it takes cycles, or when the cycle
/// counter reaches `cycles`, if it does; zero: none, in both cases.
void apic_timer_start(uint32_t count);
void apic_timer_start_at(uint64_t cycles);
/// Whether the calling CPU has to look for console input from time to time, as nothing interrupts it for that.
bool console_is_polled();

// ---- clock.cpp

/// Measures the cycle counter and the local APIC's timer. Nanoseconds count from `entry_cycles`.
void clock_initialize(uint64_t entry_cycles);
/// The calling CPU has no deadline, whatever an earlier start of it left behind.
void timer_forget();
/// This CPU's timer interrupt came. True if the deadline was reached, which is none any more; if it was not, the timer
/// runs again. Interrupts off.
bool timer_is_due();

/// Forgets what an earlier start of CPU `id` left behind, before it is started.
void clock_expect(CpuId id);
/// Makes the calling CPU's cycle counter agree with that of the CPU that is in clock_lead for it; returns when told.
/// Not bounded: who does not follow is given up by the leader, and gets INIT.
void clock_follow(CpuId self);
/// The other side; false when CPU `id` did not follow within `nanoseconds`. Thread context.
bool clock_lead(CpuId id, uint64_t nanoseconds);

// ---- firmware.cpp

enum class Protocol : uint32_t { Pvh = 1, Multiboot2 = 2 };

/// Reads what the loader left at `information`, makes all RAM visible and fills `boot` but for the clock.
void read_boot_information(Protocol protocol, arch::PhysicalAddress information, arch::BootInfo& boot);

/// A page below 640 KiB that is nobody's, or 0. Not in BootInfo::memory; after read_boot_information.
arch::PhysicalAddress low_memory_page();

/// The root of the ACPI tables, either of them 0 when unknown.
struct AcpiRoot {
    arch::PhysicalAddress rsdt;
    arch::PhysicalAddress xsdt;
};
AcpiRoot acpi_root();

}  // namespace helix::x86_64

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Serial port, interrupt controllers, clock and firmware, as the parts of the port use each other.
#pragma once

#include "arch/seam.hpp"

namespace helix::x86_64 {

// ---- serial.cpp

/// Sets up COM1 for polled output and buffered input.
void serial_initialize();
/// Moves what COM1 received into the input buffer; false if that was nothing. Interrupts off.
bool serial_receive();

// ---- interrupts.cpp

/// Silences the legacy controllers, sets up local APIC and I/O APIC with everything masked. After the final tables.
void interrupts_initialize();
/// Lets timer ticks (every `timer_count` units of the local APIC's timer) and console input through on this CPU.
void interrupts_start(uint32_t timer_count);
/// Ends interrupts that were delivered into a fault: in service, but without a handler that runs. Interrupts off,
/// outside interrupt handlers' own first lines.
void interrupts_acknowledge_lost();
/// The local APIC's timer counting silently, to be measured itself.
void apic_timer_count_down();
uint32_t apic_timer_elapsed();
void apic_timer_stop();

// ---- clock.cpp

/// Measures the cycle counter and the local APIC's timer. Nanoseconds count from `entry_cycles`.
void clock_initialize(uint64_t entry_cycles);

// ---- firmware.cpp

enum class Protocol : uint32_t { Pvh = 1, Multiboot2 = 2 };

/// Reads what the loader left at `information`, makes all RAM visible and fills `boot` but for the clock.
void read_boot_information(Protocol protocol, arch::PhysicalAddress information, arch::BootInfo& boot);

/// The root of the ACPI tables, either of them 0 when unknown.
struct AcpiRoot {
    arch::PhysicalAddress rsdt;
    arch::PhysicalAddress xsdt;
};
AcpiRoot acpi_root();

}  // namespace helix::x86_64

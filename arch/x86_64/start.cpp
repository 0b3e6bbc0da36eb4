// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The port's start: from boot.S to kernel::kernel_main.

#include "arch/x86_64/cpus.hpp"
#include "arch/x86_64/devices.hpp"
#include "arch/x86_64/paging.hpp"
#include "arch/x86_64/trap.hpp"

namespace helix::x86_64 {

namespace {
arch::BootInfo boot;
}

extern "C" [[noreturn]] void x86_64_start(Protocol protocol, arch::PhysicalAddress information, uint64_t entry_cycles) {
    traps_initialize();
    serial_initialize();
    read_boot_information(protocol, information, boot);
    enter_final_tables();
    interrupts_initialize();
    clock_initialize(entry_cycles);
    boot.cpu_count = cpus_initialize(boot.command_line);
    boot.entry_cycles = entry_cycles;
    boot.has_watchdog = true;
    kernel::kernel_main(boot);
}

}  // namespace helix::x86_64

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The CPUs of the machine: who they are, whether they run, and interrupts between them.
#pragma once

#include <atomic>

#include "arch/seam.hpp"

namespace helix::x86_64 {

enum class CpuState : uint32_t {
    Off,       ///< never ran, or stopped; waits for INIT
    Starting,  ///< between start_cpu and kernel::cpu_main; start_cpu may still give it up
    Running,   ///< its translations count: shootdowns wait for it
    Halted,    ///< for good, by halt_other_cpus
};

/// Why one CPU sends another a non-maskable interrupt; bits.
enum NonMaskableReason : uint32_t { kReasonWatchdog = 1, kReasonFlush = 2, kReasonHalt = 4 };

struct Cpu {
    uint32_t apic_id = 0;  ///< written at boot
    std::atomic<CpuState> state;
    std::atomic<bool> call_pending;              ///< a Call is under way; its handler has not begun
    std::atomic<uint32_t> non_maskable_reasons;  ///< who makes it nonzero sends the interrupt
    std::atomic<uint64_t> flushed;               ///< the last shootdown that this CPU has obeyed
};
extern Cpu cpus[arch::kMaximumCpus];  ///< the first `cpu_count()`; the boot CPU is number 0

uint32_t cpu_count();

/// Finds the CPUs by ACPI, gives each its stacks, and returns how many there are: at most what the word `cpus=N` of the
/// command line says. Boot, once, after the final tables and the local APIC.
uint32_t cpus_initialize(Text command_line);

/// Sends CPU `id` a non-maskable interrupt for `reason`, or adds the reason to one that is under way. Any context.
void send_non_maskable(CpuId id, NonMaskableReason reason);
/// Handles a non-maskable interrupt that another CPU of ours sent; false if it came from elsewhere. `in_kernel` tells
/// whether `%gs` is set.
bool take_non_maskable(kernel::TrapFrame& frame, bool in_kernel);

}  // namespace helix::x86_64

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The interrupted context as traps.S lays it out, and the vectors.
#pragma once

#include "arch/seam.hpp"

namespace helix::kernel {

struct TrapFrame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector;
    uint64_t error;
    uint64_t rip, cs, rflags, rsp, ss;  // pushed by the CPU
};
static_assert(sizeof(TrapFrame) == 176);  // a multiple of 16 keeps the handler's stack aligned

}  // namespace helix::kernel

namespace helix::x86_64 {

inline constexpr uint32_t kVectorTimer = 0x20;
inline constexpr uint32_t kVectorConsole = 0x21;
inline constexpr uint32_t kVectorCall = 0x22;
inline constexpr uint32_t kVectorFlush = 0x23;
inline constexpr uint32_t kVectorSpurious = 0x2f;
inline constexpr uint32_t kVectorLines = 0x30;  ///< of the first, for modules
inline constexpr uint32_t kLines = 16;          ///< the ISA's
inline constexpr uint32_t kVectorCount = kVectorLines + kLines;

/// Fills the interrupt descriptors, which all CPUs share, and loads the boot CPU's tables. From here on exceptions
/// reach the kernel.
void traps_initialize();
/// Loads descriptor tables and interrupt stacks of CPU `id`, which is the calling one, as if it never ran before.
void traps_load(CpuId id);

/// Whether `%gs` is good on this CPU.
bool has_cpu_local();

/// Whether the page at `address` is a guard of the boot CPU's interrupt stacks, to be left unmapped.
bool is_boot_stack_guard(uint64_t address);

}  // namespace helix::x86_64

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
inline constexpr uint32_t kVectorSpurious = 0x2f;
inline constexpr uint32_t kVectorCount = 0x30;

/// Loads descriptor tables and interrupt stacks of the boot CPU. From here on exceptions reach the kernel.
void traps_initialize();

/// The page below the exceptions' stacks, to be left unmapped.
uint64_t fault_stack_guard();

}  // namespace helix::x86_64

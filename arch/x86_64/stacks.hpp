// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The stacks of one CPU that are the port's: for exceptions, and to start on.
#pragma once

#include "arch/x86_64/layout.hpp"

namespace helix::x86_64 {

// Every exception has a stack of its own, as any may find the thread's broken. A handler moves the fault stack's top
// down while it runs, so that a fault inside on_fault has a frame of its own.
inline constexpr uint64_t kFaultStackSize = 12288;
inline constexpr uint64_t kFaultDepth = 3;
inline constexpr uint64_t kRareStackSize = 8192;
inline constexpr uint64_t kStartStackSize = 16384;
inline constexpr size_t kRareStacks = 3;  // double fault, non-maskable interrupt, machine check

/// Each stack above a page that stays unmapped.
struct InterruptStacks {
    uint8_t fault_guard[kPageSize];
    uint8_t fault[kFaultStackSize * kFaultDepth];
    struct {
        uint8_t guard[kPageSize];
        uint8_t stack[kRareStackSize];
    } rare[kRareStacks];
};

struct CpuStacks {
    InterruptStacks interrupt;
    uint8_t start_guard[kPageSize];
    uint8_t start[kStartStackSize];
};
static_assert(sizeof(CpuStacks) % kPageSize == 0);

/// Whether the page at `offset` of InterruptStacks or CpuStacks is one of the guards.
constexpr bool is_guard_page(uint64_t offset) {
    constexpr uint64_t kRareBegin = offsetof(InterruptStacks, rare);
    if (offset == offsetof(InterruptStacks, fault_guard) || offset == offsetof(CpuStacks, start_guard)) return true;
    return offset >= kRareBegin && offset < sizeof(InterruptStacks) &&
           (offset - kRareBegin) % (kPageSize + kRareStackSize) == 0;
}

/// The stacks of CPU `id`, which is not the boot CPU; mapped once map_cpu_stacks was called for it.
inline CpuStacks& cpu_stacks(CpuId id) {
    return reinterpret_cast<CpuStacks*>(kCpuStacks)[id - 1];
}

}  // namespace helix::x86_64

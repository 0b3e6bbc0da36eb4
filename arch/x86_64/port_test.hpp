// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What the two halves of the port's test share: output, checks, and the second half's handlers.
#pragma once

#include "arch/seam.hpp"

namespace helix::port_test {

struct Number {
    char digits[20];
    size_t size = 0;
    explicit Number(uint64_t value, uint64_t base = 10) {
        char reversed[20];
        do {
            reversed[size++] = "0123456789abcdef"[value % base];
            value /= base;
        } while (value != 0);
        for (size_t i = 0; i < size; ++i) digits[i] = reversed[size - 1 - i];
    }
    Text text() const { return {digits, size}; }
};

template <typename... Parts>
void print(const Parts&... parts) {
    (arch::console_write(Text(parts)), ...);
}

/// Reports and counts a check that does not hold. Any CPU.
void check(bool holds, Text what);

/// Sets the calling CPU's timer for its next tick.
void tick_again();

inline uint32_t preemption_count() {
    uint32_t word;
    asm volatile("movl %%gs:0, %0" : "=r"(word)::"memory");
    return word & ~kNoRescheduleWanted;
}
inline bool interrupts_are_on() {
    uint64_t flags;
    asm volatile("pushfq\n\tpopq %0" : "=r"(flags)::"memory");
    return (flags & 1u << 9) != 0;
}

// ---- port_test_cpus.cpp

/// Everything that needs a second CPU. `at` is an address of the region without neighbours, `frames` 64 pages that
/// nobody uses. On CPU 0, before test_halt.
void test_cpus(const arch::BootInfo& boot, uint8_t* at, arch::PhysicalAddress frames);
/// Halts the other CPUs; none runs afterwards.
void test_halt();

// Handlers, on any CPU but the first for timer and fault.
void on_other_timer(kernel::TrapFrame& frame);
void on_other_fault(kernel::TrapFrame& frame, const kernel::Fault& fault);

}  // namespace helix::port_test

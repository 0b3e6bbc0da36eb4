// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Instructions that C++ has no word for.
#pragma once

#include "helix/types.hpp"

namespace helix::x86_64 {

inline void out8(uint16_t port, uint8_t value) {
    asm volatile("outb %0, %1" ::"a"(value), "Nd"(port) : "memory");
}
inline void out16(uint16_t port, uint16_t value) {
    asm volatile("outw %0, %1" ::"a"(value), "Nd"(port) : "memory");
}
inline uint8_t in8(uint16_t port) {
    uint8_t value;
    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}
inline uint16_t in16(uint16_t port) {
    uint16_t value;
    asm volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

inline constexpr uint32_t kMsrTimeStamp = 0x10;
inline constexpr uint32_t kMsrApicBase = 0x1b;
inline constexpr uint32_t kMsrTimeStampAdjust = 0x3b;
inline constexpr uint32_t kMsrTimeStampDeadline = 0x6e0;
inline constexpr uint32_t kMsrEfer = 0xc0000080;
inline constexpr uint32_t kMsrGsBase = 0xc0000101;

inline uint64_t read_msr(uint32_t index) {
    uint32_t low, high;
    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index) : "memory");
    return static_cast<uint64_t>(high) << 32 | low;
}
inline void write_msr(uint32_t index, uint64_t value) {
    asm volatile("wrmsr" ::"c"(index), "a"(static_cast<uint32_t>(value)), "d"(static_cast<uint32_t>(value >> 32))
                 : "memory");
}

struct CpuidLeaf {
    uint32_t eax, ebx, ecx, edx;
};
inline CpuidLeaf cpuid(uint32_t leaf, uint32_t subleaf = 0) {
    CpuidLeaf out;
    asm volatile("cpuid" : "=a"(out.eax), "=b"(out.ebx), "=c"(out.ecx), "=d"(out.edx) : "a"(leaf), "c"(subleaf));
    return out;
}

inline uint64_t read_cycles() {
    uint32_t low, high;
    asm volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
    return static_cast<uint64_t>(high) << 32 | low;
}

/// The cycle counter after everything before it, loads included: what orders times of several CPUs.
inline uint64_t read_cycles_in_order() {
    uint32_t low, high;
    asm volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high)::"memory");
    return static_cast<uint64_t>(high) << 32 | low;
}

/// The entry of a CPU's own descriptor table that is no descriptor, but holds the CPU's number.
inline constexpr size_t kNumberEntry = 3;

/// The number of this CPU, in any context, also where `%gs` is not set yet. Needs traps_load.
inline CpuId this_cpu() {
    struct [[gnu::packed]] {
        uint16_t limit;
        const uint64_t* entries;
    } table;
    asm volatile("sgdt %0" : "=m"(table));
    return static_cast<CpuId>(table.entries[kNumberEntry]);
}

inline uint64_t read_cr2() {
    uint64_t value;
    asm volatile("movq %%cr2, %0" : "=r"(value));
    return value;
}
inline uint64_t read_cr3() {
    uint64_t value;
    asm volatile("movq %%cr3, %0" : "=r"(value));
    return value;
}
inline void write_cr3(uint64_t value) {
    asm volatile("movq %0, %%cr3" ::"r"(value) : "memory");
}
inline uint64_t read_cr4() {
    uint64_t value;
    asm volatile("movq %%cr4, %0" : "=r"(value));
    return value;
}
inline void write_cr4(uint64_t value) {
    asm volatile("movq %0, %%cr4" ::"r"(value) : "memory");
}
inline void invalidate_page(uint64_t address) {
    asm volatile("invlpg (%0)" ::"r"(reinterpret_cast<void*>(address)) : "memory");
}

inline constexpr uint64_t kFlagInterrupt = 1u << 9;

inline void interrupts_on() {
    asm volatile("sti" ::: "memory");
}
inline void interrupts_off() {
    asm volatile("cli" ::: "memory");
}

/// Interrupts stay off on this CPU while one of these lives. For a few instructions only.
class InterruptGuard {
public:
    InterruptGuard() { asm volatile("pushfq\n\tpopq %0\n\tcli" : "=r"(flags_)::"memory"); }
    ~InterruptGuard() {
        if ((flags_ & kFlagInterrupt) != 0) interrupts_on();
    }
    InterruptGuard(const InterruptGuard&) = delete;
    InterruptGuard& operator=(const InterruptGuard&) = delete;

private:
    uint64_t flags_;
};

}  // namespace helix::x86_64

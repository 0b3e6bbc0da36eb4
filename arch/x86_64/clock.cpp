// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Time from the cycle counter, ticks from the local APIC; both measured once against what the machine has.

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/devices.hpp"

namespace helix::x86_64 {

namespace {

constexpr uint64_t kSecond = 1'000'000'000;

// Written at boot, before any second CPU or interrupt.
uint64_t start_cycles = 0;
uint64_t nanoseconds_per_cycle = 0;  // fixed point, 32 bits behind the point
uint64_t apic_hertz = 0;

// Channel 0, as no machine gates it and its interrupt is masked.
constexpr uint16_t kPitChannel = 0x40, kPitCommand = 0x43;
constexpr uint8_t kPitCountDown = 0x30;  // mode 0, both bytes
constexpr uint8_t kPitReadStatus = 0xe2, kPitLatch = 0x00;
constexpr uint8_t kPitModeMask = 0x3f;
constexpr uint64_t kPitHertz = 1'193'182;
constexpr uint64_t kPitLongest = kPitHertz / 1'000;  // a millisecond

/// Another counter stood at `half_ticks` halves of its tick when the cycle counter stood at `cycles`, give or take
/// half of `uncertainty`. Access to a device takes as long as the machine, or its emulator, likes: the tightest of a
/// few samples counts.
struct Sample {
    uint64_t cycles;
    uint64_t half_ticks;
    uint64_t uncertainty;
};

bool pit_start() {
    out8(kPitCommand, kPitCountDown);
    out8(kPitCommand, kPitReadStatus);
    if ((in8(kPitChannel) & kPitModeMask) != kPitCountDown) return false;
    out8(kPitChannel, 0);
    out8(kPitChannel, 0);
    return true;
}

/// The PIT's position. When the sampling is faster than the PIT, a tick is caught in the act; otherwise a sample lies
/// anywhere within its tick.
Sample sample_pit() {
    Sample best{0, 0, UINT64_MAX};
    uint64_t previous_ticks = 0, previous_begin = 0;
    for (int samples = 0, candidates = 0; samples < 1000 && candidates < 8; ++samples) {
        const uint64_t begin = read_cycles();
        out8(kPitCommand, kPitLatch);
        const uint64_t end = read_cycles();
        const uint32_t low = in8(kPitChannel);
        const uint64_t ticks = (0x10000 - (low | static_cast<uint32_t>(in8(kPitChannel)) << 8)) & 0xffff;
        const uint64_t advance = ticks - previous_ticks;
        if (samples > 0 && advance != 0) {
            ++candidates;
            const uint64_t interval = end - previous_begin;
            const Sample sample =
                advance == 1 ? Sample{previous_begin + interval / 2, 2 * ticks, interval}
                             : Sample{begin + (end - begin) / 2, 2 * ticks + 1, end - begin + interval / advance};
            if (sample.uncertainty < best.uncertainty) best = sample;
        }
        previous_ticks = ticks;
        previous_begin = begin;
    }
    return best;
}

Sample sample_apic() {
    Sample best{0, 0, UINT64_MAX};
    for (int samples = 0; samples < 4; ++samples) {
        const uint64_t begin = read_cycles();
        const uint64_t ticks = apic_timer_elapsed();
        const uint64_t end = read_cycles();
        if (end - begin < best.uncertainty) best = {begin + (end - begin) / 2, 2 * ticks, end - begin};
    }
    return best;
}

/// The cycle counter's frequency by the PIT, or 0 without one. Ends as soon as it is right to a part in 500.
uint64_t measured_hertz() {
    if (!pit_start()) return 0;
    const Sample first = sample_pit();
    for (;;) {
        const Sample last = sample_pit();
        if (first.uncertainty == UINT64_MAX || last.uncertainty == UINT64_MAX) return 0;  // it does not count
        const uint64_t elapsed = last.cycles - first.cycles;
        const uint64_t half_ticks = last.half_ticks - first.half_ticks;
        if (half_ticks >= 2 * kPitLongest || (first.uncertainty + last.uncertainty) * 500 < elapsed)
            return elapsed * 2 * kPitHertz / half_ticks;
    }
}

/// The cycle counter's frequency as the CPU or hypervisor states it, or 0.
uint64_t stated_hertz() {
    const uint32_t last = cpuid(0).eax;
    if (last >= 0x15) {
        const CpuidLeaf leaf = cpuid(0x15);
        if (leaf.eax != 0 && leaf.ebx != 0 && leaf.ecx != 0)
            return static_cast<uint64_t>(leaf.ecx) * leaf.ebx / leaf.eax;
    }
    const bool hypervisor = (cpuid(1).ecx & 1u << 31) != 0;
    if (hypervisor && cpuid(0x4000'0000).eax >= 0x4000'0010) return cpuid(0x4000'0010).eax * 1000ull;
    return 0;
}

}  // namespace

void clock_initialize(uint64_t entry_cycles) {
    start_cycles = entry_cycles;
    apic_timer_count_down();
    const Sample first = sample_apic();
    uint64_t hertz = stated_hertz();
    if (hertz == 0) hertz = measured_hertz();
    if (hertz == 0) {
        arch::console_write("helix: no clock: neither cpuid nor a PIT tells the cycle counter's frequency\n");
        arch::power_off(127);
    }
    while (read_cycles() - first.cycles < hertz / 50'000) {
    }  // at least 20 microseconds
    const Sample last = sample_apic();
    apic_timer_stop();
    apic_hertz = (last.half_ticks - first.half_ticks) * hertz / (2 * (last.cycles - first.cycles));
    nanoseconds_per_cycle = (kSecond << 32) / hertz;
}

}  // namespace helix::x86_64

namespace helix::arch {

using namespace x86_64;

uint64_t cycles() {
    return read_cycles();
}

uint64_t now_ns() {
    const uint64_t elapsed = read_cycles() - start_cycles;
    return static_cast<uint64_t>(static_cast<unsigned __int128>(elapsed) * nanoseconds_per_cycle >> 32);
}

void start_timer(uint64_t period_ns) {
    constexpr uint64_t kLongest = 1'000'000'000;
    const uint64_t period = period_ns < kLongest ? period_ns : kLongest;
    uint64_t count = period * apic_hertz / kSecond;
    if (count == 0) count = 1;
    if (count > UINT32_MAX) count = UINT32_MAX;
    interrupts_start(static_cast<uint32_t>(count));
}

}  // namespace helix::arch

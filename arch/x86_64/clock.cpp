// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Time from the cycle counter, deadlines by the local APIC; both measured once against what the machine has.
//
// All CPUs read the same time because their counters agree: a CPU that starts compares its own with that of the CPU
// that starts it, and sets it when the order of the readings shows that it is wrong. From then on, no CPU is told a
// time before one that was told already, whether setting it helped or not; that costs a shared counter, which agreement
// saves.

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/cpus.hpp"
#include "arch/x86_64/devices.hpp"
#include "arch/x86_64/patience.hpp"

namespace helix::x86_64 {

namespace {

constexpr uint64_t kSecond = 1'000'000'000;

// Written at boot, before any second CPU or interrupt.
uint64_t start_cycles = 0;
uint64_t nanoseconds_per_cycle = 0;  // fixed point, 32 bits behind the point; so is the next
uint64_t cycles_per_nanosecond = 0;
uint64_t apic_hertz = 0;

uint64_t deadlines[arch::kMaximumCpus];  // each its own CPU's, with interrupts off

std::atomic<bool> counters_disagree;   // once true, always
std::atomic<uint64_t> latest_elapsed;  // the largest count that now_ns has seen; only where counters disagree

/// Questions of a leader and answers of who follows. The answer to question n is there when `answered` is n.
struct Comparison {
    std::atomic<uint32_t> asked;
    std::atomic<uint32_t> answered;
    std::atomic<uint64_t> correction;  // to be added; zero: the question is what the counter says
    std::atomic<uint64_t> counter;
};
Comparison comparisons[arch::kMaximumCpus];
constexpr uint32_t kNoQuestion = 0, kEnough = UINT32_MAX;
constexpr uint32_t kSamples = 256, kFewSamples = 8, kCorrections = 3;
constexpr uint64_t kEnoughTime = 2'000'000;  // on an emulator that is short of CPUs, one answer may take milliseconds

// Channel 0, as no machine gates it and its interrupt is masked.
constexpr uint16_t kPitChannel = 0x40, kPitCommand = 0x43;
constexpr uint8_t kPitCountDown = 0x30;  // mode 0, both bytes
constexpr uint8_t kPitReadStatus = 0xe2, kPitLatch = 0x00;
constexpr uint8_t kPitModeMask = 0x3f;
constexpr uint64_t kPitHertz = 1'193'182;
constexpr uint64_t kPitMillisecond = kPitHertz / 1'000;
constexpr uint64_t kPitLongest = 50 * kPitMillisecond;  // its 16 bits wrap after 55

// Elapsed time over what the readings leave open. A millisecond usually gives the fine one; where the host took the
// CPU away within every reading, more time makes up for it.
constexpr uint64_t kFine = 500, kCoarse = 128;

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

bool is_right_to(uint64_t parts, const Sample& first, const Sample& last) {
    return (first.uncertainty + last.uncertainty) * parts < last.cycles - first.cycles;
}

/// The cycle counter's frequency by the PIT, or 0 without one. Ends as soon as it is right to a part in 500, after a
/// millisecond if to a part in 128, after fifty in any case.
uint64_t measured_hertz() {
    if (!pit_start()) return 0;
    const Sample first = sample_pit();
    for (;;) {
        const Sample last = sample_pit();
        if (first.uncertainty == UINT64_MAX || last.uncertainty == UINT64_MAX) return 0;  // it does not count
        const uint64_t elapsed = last.cycles - first.cycles;
        const uint64_t half_ticks = last.half_ticks - first.half_ticks;
        if (is_right_to(kFine, first, last) || half_ticks >= 2 * kPitLongest ||
            (half_ticks >= 2 * kPitMillisecond && is_right_to(kCoarse, first, last)))
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

void correct_counter(uint64_t change) {
    const bool adjusts = cpuid(0).eax >= 7 && (cpuid(7).ebx & 1u << 1) != 0;
    const InterruptGuard guard;
    if (adjusts)
        write_msr(kMsrTimeStampAdjust, read_msr(kMsrTimeStampAdjust) + change);
    else
        write_msr(kMsrTimeStamp, read_cycles() + change);
}

/// What the order of readings says about the other counter: by how much it lags, at least and at most. Either bound is
/// as good as the quickest message that way, so that the middle is right to less than any message takes.
struct Difference {
    bool answered;
    int64_t least;
    int64_t most;
};

Difference measure(Comparison& with, uint32_t& question, Patience& patience) {
    Difference out{false, INT64_MIN, INT64_MAX};
    const uint64_t enough = arch::now_ns() + kEnoughTime;
    for (uint32_t sample = 0; sample < kFewSamples || (sample < kSamples && arch::now_ns() < enough); ++sample) {
        const uint64_t begin = read_cycles_in_order();
        with.asked.store(++question);
        while (with.answered.load() != question)
            if (patience.is_over()) return out;
        const uint64_t end = read_cycles_in_order();
        const uint64_t there = with.counter.load();
        const auto least = static_cast<int64_t>(begin - there), most = static_cast<int64_t>(end - there);
        if (least > out.least) out.least = least;
        if (most < out.most) out.most = most;
    }
    out.answered = true;
    return out;
}

/// Starts this CPU's timer so that it expires at `deadline_ns`, or before it: then it is started again. Interrupts off.
///
/// The APIC's own units are known to a part in 128. Where the difference would matter, the timer first expires a little
/// early.
void start_timer(uint64_t deadline_ns) {
    constexpr uint64_t kShort = 2'500'000, kConsolePoll = 10'000'000;
    const uint64_t now = arch::now_ns();
    uint64_t wait = deadline_ns > now ? deadline_ns - now : 0;
    if (console_is_polled()) {
        if (wait > kConsolePoll) wait = kConsolePoll;
    } else if (deadline_ns == arch::kNever) {
        return apic_timer_start(0);
    }
    if (wait > kSecond) wait = kSecond;
    if (apic_timer_takes_cycles()) {
        const auto cycles = static_cast<unsigned __int128>(wait) * cycles_per_nanosecond >> 32;
        return apic_timer_start_at(read_cycles() + static_cast<uint64_t>(cycles) + 1);
    }
    if (wait > kShort) wait -= wait / kCoarse;
    const uint64_t count = wait * apic_hertz / kSecond + 1;
    apic_timer_start(count < UINT32_MAX ? static_cast<uint32_t>(count) : UINT32_MAX);
}

}  // namespace

void timer_forget() {
    deadlines[this_cpu()] = arch::kNever;
}

bool timer_is_due() {
    uint64_t& deadline_ns = deadlines[this_cpu()];
    const bool is_due = deadline_ns != arch::kNever && arch::now_ns() >= deadline_ns;
    if (is_due) deadline_ns = arch::kNever;
    if (!is_due || console_is_polled()) start_timer(deadline_ns);
    return is_due;
}

void clock_expect(CpuId id) {
    comparisons[id].asked = kNoQuestion;
    comparisons[id].answered = kNoQuestion;
    comparisons[id].correction = 0;
}

void clock_follow(CpuId self) {
    Comparison& with = comparisons[self];
    for (uint32_t last = kNoQuestion;;) {
        const uint32_t question = with.asked.load();
        if (question == kEnough) return;
        if (question == last) continue;
        last = question;
        const uint64_t correction = with.correction.load();
        if (correction != 0) correct_counter(correction);
        with.counter.store(read_cycles_in_order());
        with.answered.store(question);
    }
}

bool clock_lead(CpuId id, uint64_t nanoseconds) {
    Patience patience(nanoseconds);
    Comparison& with = comparisons[id];
    uint32_t question = kNoQuestion;
    for (uint32_t corrections = 0;; ++corrections) {
        const Difference difference = measure(with, question, patience);
        if (!difference.answered) return false;
        if (difference.least <= 0 && difference.most >= 0) break;
        // Setting it leaves an error of a message's time, or a larger one where messages take long.
        counters_disagree = true;
        if (corrections == kCorrections) break;
        with.correction.store(static_cast<uint64_t>(difference.least + (difference.most - difference.least) / 2));
        with.asked.store(++question);
        while (with.answered.load() != question)
            if (patience.is_over()) return false;
        with.correction.store(0);
    }
    with.asked.store(kEnough);
    return true;
}

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
    // At least 20 microseconds, so that the APIC's own tick does not count either; at most fifty milliseconds.
    Sample last = sample_apic();
    while (last.cycles - first.cycles < hertz / 50'000 ||
           (!is_right_to(kCoarse, first, last) && last.cycles - first.cycles < hertz / 20))
        last = sample_apic();
    apic_timer_stop();
    apic_hertz = (last.half_ticks - first.half_ticks) * hertz / (2 * (last.cycles - first.cycles));
    nanoseconds_per_cycle = (kSecond << 32) / hertz;
    // Whole gigahertz apart, as a hertz more than 2^32 would not fit.
    cycles_per_nanosecond = (hertz / kSecond << 32) + (hertz % kSecond << 32) / kSecond;
}

}  // namespace helix::x86_64

namespace helix::arch {

using namespace x86_64;

uint64_t cycles() {
    return read_cycles();
}

uint64_t now_ns() {
    uint64_t elapsed = read_cycles_in_order() - start_cycles;
    if (counters_disagree.load(std::memory_order_relaxed)) {
        if (static_cast<int64_t>(elapsed) < 0) elapsed = 0;
        uint64_t latest = latest_elapsed.load();
        while (latest < elapsed && !latest_elapsed.compare_exchange_weak(latest, elapsed)) {
        }
        if (latest > elapsed) elapsed = latest;
    }
    return static_cast<uint64_t>(static_cast<unsigned __int128>(elapsed) * nanoseconds_per_cycle >> 32);
}

void start_interrupts() {
    interrupts_start();
    set_timer(kNever);
}

void set_timer(uint64_t deadline_ns) {
    const InterruptGuard guard;
    deadlines[this_cpu()] = deadline_ns;
    start_timer(deadline_ns);
}

}  // namespace helix::arch

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Replay: a manual clock, and ticks at preemption points drawn from a seed. The same seed gives the same run.
#include "arch/hosted/port.hpp"

#include "helix/format.hpp"

namespace helix::arch::hosted {

namespace {

/// One preemption point in this many brings a tick.
constexpr uint64_t kPointsPerTick = 16;
/// So many looks in a row, time.cpp says how far apart, must have found no progress.
constexpr uint32_t kStalledLooks = 3;
/// Ticks that an endless loop gets at one look.
constexpr int kTicksPerLook = 2000;

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
uint64_t draw(Replay& replay) {
    uint64_t z = replay.random += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

void hash_word(Replay& replay, uint64_t word) {
    replay_hash(replay, {reinterpret_cast<const uint8_t*>(&word), sizeof(word)});
}

void advance(Port& port, uint64_t period_ns) {
    port.replay.clock_ns += period_ns;
    hash_word(port.replay, port.replay.steps);
    hash_word(port.replay, port.replay.clock_ns);
}

}  // namespace

void replay_start(Replay& replay, uint64_t seed) {
    replay.on = true;
    replay.seed = seed;
    replay.random = seed;
}

/// FNV-1a, 64 bits.
void replay_hash(Replay& replay, Bytes bytes) {
    for (const uint8_t byte : bytes) replay.hash = (replay.hash ^ byte) * 0x100000001b3;
}

void replay_point(Port& port) {
    preempt_disable();
    const uint64_t period_ns = this_cpu()->period_ns;
    ++port.replay.steps;
    ++port.replay.progress;
    const bool tick = draw(port.replay) % kPointsPerTick == 0 && period_ns != 0;
    if (tick) advance(port, period_ns);
    preempt_lower();
    // In between nothing can come: there are no other ticks.
    if (tick) deliver_tick();
}

void replay_idle(Port& port) {
    if (console_has_bytes(port.console)) {
        preempt_disable();
        kernel::TrapFrame frame{nullptr, 1};
        kernel::on_console_input(frame);
        preempt_lower();
        if (reschedule_wanted()) return;
    }
    ++port.replay.progress;
    advance(port, this_cpu()->period_ns);
    deliver_tick();
}

/// A real tick, `frame`, came during a replay. It means nothing unless a module computes for long without passing any
/// preemption point; then virtual time goes on, until the kernel ends the call or another thread makes progress.
/// How many ticks the module gets depends on the seed alone, which instruction they interrupt on the host: a run in
/// which that shows is not repeated by its seed.
void replay_stalled(Cpu& cpu, kernel::TrapFrame& frame) {
    Port& port = *cpu.port;
    Replay& replay = port.replay;
    const uint64_t progress = replay.progress;
    if (progress != cpu.stall_progress || !port.in_region(trap_instruction_pointer(frame))) {
        cpu.stall_progress = progress;
        cpu.stalled_ticks = 0;
        return;
    }
    if (++cpu.stalled_ticks < kStalledLooks) return;
    const uint64_t at = trap_instruction_pointer(frame);
    for (int i = 0; i < kTicksPerLook; ++i) {
        advance(port, cpu.period_ns);
        kernel::on_timer(frame);
        if (trap_instruction_pointer(frame) != at || replay.progress != progress) return;
    }
}

void replay_summary(const Port& port) {
    const Replay& replay = port.replay;
    write_all(port.messages,
              format("replay: seed {}, steps {}, hash {:x}\n", replay.seed, replay.steps, replay.hash).text());
}

}  // namespace helix::arch::hosted

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Replay: a manual clock, which moves at points drawn from a seed, and so do turns of CPUs. The same seed gives the
// same run.
//
// All CPUs share the boot CPU's pthread. Each is suspended in a call of replay_switch while another one goes on; they
// pass control on at preemption points, in idle and where they spin, so nothing here needs a lock.
#include "arch/hosted/port.hpp"

#include "helix/format.hpp"

namespace helix::arch::hosted {

namespace {

/// At one preemption point in this many time passes, and one in this many lets another CPU go on.
constexpr uint64_t kPointsPerStep = 16;
constexpr uint64_t kPointsPerTurn = 4;
/// How much time passes then, for all CPUs together.
constexpr uint64_t kStepNs = 1'000'000;
/// So many spin_hints of a CPU, without any other sign of life, and the one it waits for will never come.
constexpr uint64_t kEndlessSpins = 5'000'000;
/// So many looks in a row, time.cpp says how far apart, must have found that a CPU made no progress.
constexpr uint32_t kStalledLooks = 3;
/// Ticks that a CPU gets at the first look that finds it so; at each further look in the same call twice as many.
constexpr uint64_t kTicksAtFirst = 4;
constexpr uint32_t kDoublings = 9;

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

bool is_on(const Cpu& cpu) {
    return cpu.state == kCpuRunning;
}

/// A CPU other than `self` that is on and has something to do, the `number`th in a circle; null if there is none.
Cpu* other_cpu(Port& port, const Cpu& self, uint64_t number) {
    if (port.replay.running < 2) return nullptr;
    Cpu* found[kMaximumCpus];
    uint64_t count = 0;
    for (uint32_t i = 0; i < port.cpu_count; ++i) {
        Cpu& cpu = port.cpus[i];
        if (&cpu != &self && is_on(cpu) && (!cpu.idle || cpu.pending != 0)) found[count++] = &cpu;
    }
    return count == 0 ? nullptr : found[number % count];
}

void give_turn(Port& port, Cpu& self, uint64_t number) {
    if (Cpu* const other = other_cpu(port, self, number)) replay_switch(self, *other);
}

/// The clock moves to `clock_ns`; all CPUs whose deadline that reaches get their interrupt.
void advance_to(Port& port, uint64_t clock_ns) {
    Replay& replay = port.replay;
    if (clock_ns > replay.clock_ns) replay.clock_ns = clock_ns;
    hash_word(replay, replay.steps);
    hash_word(replay, replay.clock_ns);
    for (uint32_t i = 0; i < port.cpu_count; ++i) {
        Cpu& cpu = port.cpus[i];
        if (!is_on(cpu) || cpu.deadline_ns > replay.clock_ns) continue;
        cpu.deadline_ns = kNever;
        cpu.pending |= kPendingTick;
    }
}

/// Some time passes: the more CPUs work meanwhile, the less.
void advance(Port& port) {
    advance_to(port, port.replay.clock_ns + kStepNs / port.replay.running);
}

/// To the next deadline of any CPU; false if there is none.
bool advance_to_deadline(Port& port) {
    uint64_t next = kNever;
    for (uint32_t i = 0; i < port.cpu_count; ++i)
        if (is_on(port.cpus[i]) && port.cpus[i].deadline_ns < next) next = port.cpus[i].deadline_ns;
    if (next == kNever) return false;
    advance_to(port, next);
    return true;
}

}  // namespace

void replay_start(Replay& replay, uint64_t seed) {
    replay.on = true;
    replay.seed = seed;
    replay.random = seed;
    replay.running = 1;
}

/// FNV-1a, 64 bits.
void replay_hash(Replay& replay, Bytes bytes) {
    for (const uint8_t byte : bytes) replay.hash = (replay.hash ^ byte) * 0x100000001b3;
}

void replay_switch(Cpu& from, Cpu& to) {
    Port& port = *from.port;
    hash_word(port.replay, to.index);
    from.resume.sanitizer = from.running;
    to.resume.sanitizer = to.running;
    helix_hosted_cpu = &to;
    set_gs(port, to.local != nullptr ? to.local : &to.early);
    context_switch(from.resume, to.resume);
}

void replay_point(Port& port) {
    Replay& replay = port.replay;
    ++replay.steps;
    Cpu& cpu = *this_cpu();
    ++cpu.progress;
    cpu.spins = 0;
    const uint64_t drawn = draw(replay);
    if (drawn % kPointsPerStep == 0) advance(port);
    if ((drawn >> 4) % kPointsPerTurn == 0) give_turn(port, cpu, drawn >> 32);
    deliver_pending();
}

/// A CPU that waits for another one passes control on each time, so whoever is waited for gets its turn.
void replay_spin(Port& port) {
    Cpu& cpu = *this_cpu();
    if (++cpu.spins > kEndlessSpins) fatal("replay: a CPU spins for ever, CPU ", cpu.index);
    const uint64_t drawn = draw(port.replay);
    if (drawn % kPointsPerStep == 0) advance(port);
    give_turn(port, cpu, drawn >> 32);
    deliver_pending();
}

void replay_idle(Port& port) {
    Replay& replay = port.replay;
    Cpu& cpu = *this_cpu();
    ++cpu.progress;
    cpu.spins = 0;
    if (reschedule_wanted()) return;
    cpu.idle = true;
    if (cpu.pending == 0 && replay.running > 1) give_turn(port, cpu, draw(replay));
    cpu.idle = false;
    // Either somebody left something for this CPU, or nobody has anything to do.
    if (cpu.pending == 0 && console_is_news(port.console)) {
        deliver_console_input();
        if (reschedule_wanted()) return;
    }
    if (cpu.pending == 0 && !advance_to_deadline(port)) fatal("replay: no CPU has anything to do, ever");
    deliver_pending();
}

Result<void> replay_start_cpu(Port& port, Cpu& cpu) {
    PreemptionGuard guard;
    Cpu& self = *this_cpu();
    context_retire(cpu.boot);  // of its last run
    cpu_prepare(cpu);
    cpu.resume = cpu.boot;
    cpu.running = static_cast<SanitizerStack*>(cpu.boot.sanitizer);
    cpu.state = kCpuRunning;
    ++port.replay.running;
    replay_switch(self, cpu);
    return {};
}

void replay_stop_cpu(Port& port, Cpu& cpu) {
    Replay& replay = port.replay;
    cpu.state = kCpuOff;
    cpu.deadline_ns = kNever;
    if (--replay.running == 0) fatal("replay: the last CPU stopped");
    Cpu* next = nullptr;
    for (uint32_t i = 0; i < port.cpu_count && next == nullptr; ++i)
        if (is_on(port.cpus[i])) next = &port.cpus[i];
    if (replay.running > 1)
        if (Cpu* const drawn = other_cpu(port, cpu, draw(replay))) next = drawn;
    // An idle one finds that nobody has anything to do.
    replay_switch(cpu, *next);
    __builtin_unreachable();
}

void replay_halt_others(Port& port, Cpu& cpu) {
    for (uint32_t i = 0; i < port.cpu_count; ++i)
        if (i != cpu.index && is_on(port.cpus[i])) port.cpus[i].state = kCpuOff;
    port.replay.running = 1;
}

void replay_end(Port& port) {
    port.cpus[0].inside = false;
    ThreadContext abandoned;
    context_switch(abandoned, port.cpus[0].leave);
    __builtin_unreachable();
}

/// A real tick, `frame`, came during a replay. It means nothing unless a module computes for long without passing any
/// preemption point. Then virtual time goes on: at first about as fast as real time, for many short calls may be what
/// is seen, and faster while it is the same call, until the kernel ends that or another thread runs on this CPU.
/// How many ticks the module gets, and when other CPUs get their turns, depends on the seed alone, which instruction
/// they interrupt on the host: a run in which that shows is not repeated by its seed.
void replay_stalled(Port& port, kernel::TrapFrame& frame) {
    Replay& replay = port.replay;
    Cpu& cpu = *this_cpu();
    const uint64_t progress = cpu.progress;
    const uint64_t at = trap_instruction_pointer(frame);
    if (progress != cpu.stall_progress || !port.in_region(at)) {
        cpu.stall_progress = progress;
        cpu.stalled_looks = 0;
        return;
    }
    if (++cpu.stalled_looks < kStalledLooks) return;
    // The ticks of a call only become more: fewer are those of another call.
    const auto ticks_of_call = [] { return current_gate() == nullptr ? 0 : current_gate()->ticks & Gate::kTicksMask; };
    if (ticks_of_call() < cpu.stall_ticks) cpu.stalled_looks = kStalledLooks;
    const uint32_t doublings = cpu.stalled_looks - kStalledLooks;
    const uint64_t ticks = kTicksAtFirst << (doublings < kDoublings ? doublings : kDoublings);
    for (uint64_t i = 0; i < ticks; ++i) {
        if (take_pending(cpu, kPendingCall) != 0) {
            kernel::on_interrupt(frame);
        } else if (take_pending(cpu, kPendingWatchdog) != 0) {
            kernel::on_watchdog(frame);
        } else {
            advance_to(port, replay.clock_ns + kStepNs);
            if (take_pending(cpu, kPendingTick) != 0) kernel::on_timer(frame);
        }
        // The thread may go on elsewhere, and this CPU with another one.
        if (trap_instruction_pointer(frame) != at || cpu.progress != progress) return;
        // Perhaps it waits for another CPU.
        if (replay.running > 1) give_turn(port, cpu, draw(replay));
    }
    cpu.stall_ticks = ticks_of_call();
}

void replay_summary(const Port& port) {
    const Replay& replay = port.replay;
    write_all(port.messages,
              format("replay: seed {}, steps {}, hash {:x}\n", replay.seed, replay.steps, replay.hash).text());
}

}  // namespace helix::arch::hosted

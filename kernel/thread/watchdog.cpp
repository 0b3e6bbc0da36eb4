// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The watchdog: CPUs watch each other, so that a module that spins with interrupts disabled loses its CPU again.
//
// The sign of life is the tick, which every CPU has that runs something. Each CPU is watched by the one in front of it
// in a circle of all that run. The watcher looks every kWatchNs, as long as there are ticks to be expected; it has a
// deadline of its own for that, so that it may sleep otherwise. A CPU without ticks has nobody who watches; before it
// runs something it asks for it, once in a while: who watches goes on for a while after there was something to see.
//
// Whoever is late gets a non-maskable interrupt. That proves nothing yet: an emulator may just have had no time for
// that CPU. What counts is whether interrupts are disabled where it came, and in the kernel how often in a row.

#include "kernel/kernel.hpp"
#include "kernel/thread/gates.hpp"
#include "kernel/thread/owner.hpp"
#include "kernel/thread/threads.hpp"

namespace helix::kernel {

namespace {

/// The bit after bit `id` in `set`, in a circle; `id` if there is no other.
CpuId next_in_circle(uint64_t set, CpuId id) {
    const uint64_t above = set & ~uint64_t{1} << id;
    const uint64_t rest = above != 0 ? above : set;
    return rest != 0 ? static_cast<CpuId>(__builtin_ctzll(rest)) : id;
}
CpuId previous_in_circle(uint64_t set, CpuId id) {
    const uint64_t below = set & ((uint64_t{1} << id) - 1);
    const uint64_t rest = below != 0 ? below : set;
    return rest != 0 ? static_cast<CpuId>(63 - __builtin_clzll(rest)) : id;
}

bool has_ticks(const Cpu& cpu) {
    return __atomic_load_n(&cpu.tick_at_ns, __ATOMIC_SEQ_CST) != arch::kNever;
}

}  // namespace

/// Sees to it that somebody watches `cpu`, which is the calling one and has ticks. Preemption off, or an interrupt.
void Threads::ask_to_be_watched(Cpu& cpu) {
    const uint64_t running = __atomic_load_n(&running_, __ATOMIC_SEQ_CST);
    const CpuId id = previous_in_circle(running, cpu.local.cpu);
    if (!kernel_.boot.has_watchdog || id == cpu.local.cpu) return;
    Cpu& watcher = this->cpu(id);
    if (__atomic_load_n(&watcher.watch_at_ns, __ATOMIC_SEQ_CST) != arch::kNever) return;
    if (__atomic_exchange_n(&watcher.watch_wanted, 1, __ATOMIC_SEQ_CST) == 0)
        arch::interrupt_cpu(id, arch::CpuInterrupt::Call);
}

/// Begins to watch, as another CPU asked. The calling CPU; preemption off.
void Threads::begin_to_watch(Cpu& cpu, uint64_t now_ns) {
    context::require_preemption_off("Threads::begin_to_watch");
    __atomic_store_n(&cpu.watch_wanted, 0, __ATOMIC_SEQ_CST);
    if (cpu.watch_at_ns != arch::kNever) return;
    cpu.watch_ticks = arch::kNever;
    __atomic_store_n(&cpu.watch_at_ns, now_ns + kWatchNs, __ATOMIC_SEQ_CST);
    watch_ward(cpu);
    program_timer(cpu, now_ns);
}

/// Notes the state of the CPU that `cpu`, the calling one, watches; true if it was late.
bool Threads::watch_ward(Cpu& cpu) {
    const CpuId id = next_in_circle(__atomic_load_n(&running_, __ATOMIC_SEQ_CST), cpu.local.cpu);
    const Cpu& ward = this->cpu(id);
    const uint64_t ticks = __atomic_load_n(&ward.ticks, __ATOMIC_RELAXED);
    const bool is_late = id != cpu.local.cpu && cpu.watch_cpu == id && cpu.watch_ticks == ticks && has_ticks(ward);
    cpu.watch_cpu = id;
    cpu.watch_ticks = ticks;
    return is_late;
}

/// The calling CPU's time to look at the CPU that it watches. Interrupt handler; touches only atomics.
void Threads::watch(Cpu& cpu, uint64_t now_ns) {
    context::require_interrupt("Threads::watch");
    const bool is_late = watch_ward(cpu);
    Cpu& ward = this->cpu(cpu.watch_cpu);
    __atomic_store_n(&cpu.watch_at_ns, now_ns + kWatchNs, __ATOMIC_SEQ_CST);
    if (is_late) arch::interrupt_cpu(cpu.watch_cpu, arch::CpuInterrupt::Watchdog);
    if (&ward != &cpu && has_ticks(ward)) return;
    // One of us sees the other: it looks whether it is watched after its ticks have begun.
    __atomic_store_n(&cpu.watch_at_ns, arch::kNever, __ATOMIC_SEQ_CST);
    if (&ward != &cpu && has_ticks(ward)) __atomic_store_n(&cpu.watch_at_ns, now_ns + kWatchNs, __ATOMIC_SEQ_CST);
}

void Threads::on_watchdog(TrapFrame& frame) {
    const context::Interrupt here;
    if (arch::trap_interrupts_enabled(frame)) return;  // its ticks will come, or wait for their turn already
    Cpu& cpu = this_cpu();
    Gate* const innermost = current_gate();
    Gate* const gate = module_or_thread_gate(innermost);
    if (gate == nullptr) return;
    auto& instance = static_cast<Instance&>(*owner_of(gate->instance));
    const uint64_t instruction = arch::trap_instruction_pointer(frame);
    const bool in_module = gate == innermost && instance.mapping != nullptr && instance.mapping->contains(instruction);
    // The kernel's own stretches without interrupts are short, but an emulator that has more CPUs than its host takes
    // them away in just those, where they wait for its devices. So often in one, without a tick between, is no
    // accident.
    constexpr uint32_t kTooOften = 20;
    cpu.late_looks = cpu.late_ticks == cpu.ticks ? cpu.late_looks + 1 : 0;
    cpu.late_ticks = cpu.ticks;
    if (!in_module && cpu.late_looks < kTooOften) return;
    FailureNote note;
    note.failure = GateFailure::Budget;
    note.rule = "it kept interrupts disabled";
    if (in_module) note.instruction = instruction;
    module_failed(instance, note);
    if (!in_module) return;
    leave_gate(*gate);
    arch::trap_resume_at_gate(frame, *gate, GateFailure::Budget);
}

void on_watchdog(TrapFrame& frame) {
    this_kernel().threads.on_watchdog(frame);
}

}  // namespace helix::kernel

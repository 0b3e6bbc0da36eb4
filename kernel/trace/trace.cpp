// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Trace: rings for all CPUs, and the way into them.

#include "kernel/trace/trace.hpp"

#include "kernel/kernel.hpp"

namespace helix::kernel {

bool Trace::init(size_t entries, TraceScope scope) {
    const size_t capacity = TraceRing::capacity_for(entries);
    if (capacity == 0) return true;
    const size_t bytes = (capacity * sizeof(TraceEntry) + kPageSize - 1) / kPageSize * kPageSize;
    for (CpuId id = 0; id < kernel_.threads.cpu_count(); ++id) {
        const auto allocated = kernel_.pages.allocate(bytes / kPageSize);
        if (!allocated.ok()) return false;
        void* const memory = arch::direct_map(allocated.value());
        __builtin_memset(memory, 0, bytes);
        kernel_.threads.cpu(id).trace.init(Span<TraceEntry>(static_cast<TraceEntry*>(memory), capacity), scope);
    }
    return true;
}

void Trace::note(TraceKind kind, uint8_t detail, uint32_t subject, uint32_t other, uint64_t address, Text text) {
    preempt_disable();
    note_at(arch::cycles(), kind, detail, subject, other, address, text);
    preempt_enable();
}

void Trace::note_at(uint64_t cycles, TraceKind kind, uint8_t detail, uint32_t subject, uint32_t other, uint64_t address,
                    Text text) {
    preempt_disable();
    TraceRing& ring = this_cpu().trace;
    if (is_change(kind) || ring.keeps_all()) ring.add(cycles, kind, detail, subject, other, address, text);
    preempt_enable();
}

bool Trace::is_on() {
    const PreemptionGuard guard;
    return this_cpu().trace.is_on();
}

bool Trace::notes_all() {
    const PreemptionGuard guard;
    return this_cpu().trace.keeps_all();
}

void Trace::set_on(bool on) {
    for (CpuId id = 0; id < kernel_.threads.cpu_count(); ++id) kernel_.threads.cpu(id).trace.set_on(on);
}

void Trace::pause() {
    set_on(false);
}

void Trace::resume() {
    set_on(true);
    note(TraceKind::Resumed, 0, 0);
}

TraceReader Trace::reader() const {
    const auto ring = [](const void* threads, CpuId id) -> const TraceRing& {
        return static_cast<Threads*>(const_cast<void*>(threads))->cpu(id).trace;
    };
    return TraceReader(ring, &kernel_.threads, kernel_.threads.cpu_count());
}

}  // namespace helix::kernel

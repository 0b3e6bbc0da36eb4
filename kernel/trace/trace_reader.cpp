// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// TraceReader: merging the rings.

#include "kernel/trace/trace_reader.hpp"

namespace helix::kernel {

TraceReader::TraceReader(RingFunction ring, const void* context, size_t count)
    : ring_(ring), context_(context), count_(count < kMaximumRings ? count : kMaximumRings) {
    for (CpuId cpu = 0; cpu < count_; ++cpu) {
        at_[cpu] = ring_(context_, cpu).begin();
        end_[cpu] = ring_(context_, cpu).end();
    }
}

/// The first entry at `number` or behind it, for step 1, or at `number` - 1 or before it, for step -1, that is not
/// text; `number` becomes its own. False if there is none.
bool TraceReader::find(CpuId cpu, uint64_t& number, int64_t step, TraceEntry& out) const {
    const TraceRing& ring = ring_(context_, cpu);
    for (;;) {
        if (step < 0 ? number <= ring.begin() : number >= end_[cpu]) return false;
        if (step < 0) --number;
        if (ring.read(number, out) && out.kind() != TraceKind::Text) return true;
        if (step > 0) ++number;
    }
}

void TraceReader::go_to_last(uint64_t count) {
    for (CpuId cpu = 0; cpu < count_; ++cpu) at_[cpu] = end_[cpu];
    for (; count > 0; --count) {
        CpuId latest = kMaximumRings;
        uint64_t latest_number = 0;
        uint64_t latest_cycles = 0;
        for (CpuId cpu = 0; cpu < count_; ++cpu) {
            TraceEntry entry;
            uint64_t number = at_[cpu];
            if (!find(cpu, number, -1, entry) || (latest != kMaximumRings && entry.cycles < latest_cycles)) continue;
            latest = cpu;
            latest_number = number;
            latest_cycles = entry.cycles;
        }
        if (latest == kMaximumRings) return;
        at_[latest] = latest_number;
    }
}

bool TraceReader::next(TraceRecord& out) {
    TraceEntry first;
    CpuId chosen = kMaximumRings;
    for (CpuId cpu = 0; cpu < count_; ++cpu) {
        TraceEntry entry;
        if (!find(cpu, at_[cpu], 1, entry) || (chosen != kMaximumRings && entry.cycles >= first.cycles)) continue;
        chosen = cpu;
        first = entry;
    }
    if (chosen == kMaximumRings) return false;
    out.cycles = first.cycles;
    out.cpu = chosen;
    out.kind = first.kind();
    out.detail = first.detail();
    out.subject = first.subject;
    out.other = first.other;
    out.address = first.address;
    out.text.clear();
    for (uint64_t number = ++at_[chosen]; number < end_[chosen]; ++number) {
        TraceEntry entry;
        if (!ring_(context_, chosen).read(number, entry) || entry.kind() != TraceKind::Text) break;
        const uint64_t words[] = {entry.cycles, entry.subject | uint64_t{entry.other} << 32, entry.address};
        static_assert(sizeof(words) == TraceEntry::kTextBytes);
        const size_t size = entry.detail() < sizeof(words) ? entry.detail() : sizeof(words);
        out.text.append(Text(reinterpret_cast<const char*>(words), size));
    }
    return true;
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// TraceReader: the entries of all CPUs' trace rings, in the order of their times.
#pragma once

#include "helix/gate.hpp"
#include "kernel/trace/trace_ring.hpp"

namespace helix::kernel {

/// An entry with its text, taken out of the rings.
struct TraceRecord {
    uint64_t cycles = 0;
    CpuId cpu = 0;
    TraceKind kind = TraceKind::Text;
    uint8_t detail = 0;
    uint32_t subject = 0;
    uint32_t other = 0;
    uint64_t address = 0;
    FixedText<TraceRing::kMaximumText> text;
};

/// Locks nothing; any context. What is overwritten while it is read is left out. Within a CPU the order is that of the
/// ring: an interrupt's entry may stand before one that was under way. About 1 KiB.
class TraceReader {
public:
    static constexpr size_t kMaximumRings = 64;

    /// Looks at what is there now; `ring` gives the ring of each of `count` CPUs.
    using RingFunction = const TraceRing& (*)(const void* context, CpuId cpu);
    TraceReader(RingFunction ring, const void* context, size_t count);

    /// Goes on with the last `count` entries, or with all if there are fewer.
    void go_to_last(uint64_t count);
    /// The next entry; false at the end.
    bool next(TraceRecord& out);

private:
    bool find(CpuId cpu, uint64_t& number, int64_t step, TraceEntry& out) const;

    const RingFunction ring_;
    const void* const context_;
    const size_t count_;
    uint64_t at_[kMaximumRings];
    uint64_t end_[kMaximumRings];
};

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// TraceRing: entries with text, and reading.

#include "kernel/trace/trace_ring.hpp"

namespace helix::kernel {

void TraceRing::add(uint64_t cycles, TraceKind kind, uint8_t detail, uint32_t subject, uint32_t other, uint64_t address,
                    Text text) {
    const uint64_t mask = __atomic_load_n(&mask_, __ATOMIC_RELAXED);
    if (mask == 0) return;
    const size_t size = text.size() < kMaximumText ? text.size() : kMaximumText;
    const uint64_t pieces = (size + TraceEntry::kTextBytes - 1) / TraceEntry::kTextBytes;
    const uint64_t first = take(1 + pieces);
    // The head last: who finds it finds its text.
    for (uint64_t i = pieces + 1; i-- > 0;) {
        uint64_t words[TraceEntry::kTextBytes / 8] = {cycles, uint64_t{subject} | uint64_t{other} << 32, address};
        uint64_t mark = TraceEntry::make_mark(first, kind, detail);
        if (i != 0) {
            const size_t begin = (i - 1) * sizeof(words);
            const size_t left = size - begin < sizeof(words) ? size - begin : sizeof(words);
            __builtin_memcpy(words, text.data() + begin, left);
            mark = TraceEntry::make_mark(first + i, TraceKind::Text, static_cast<uint8_t>(left));
        }
        TraceEntry& entry = entries_[(first + i) & mask];
        __atomic_store_n(&entry.cycles, words[0], __ATOMIC_RELAXED);
        __atomic_store_n(&entry.subject, static_cast<uint32_t>(words[1]), __ATOMIC_RELAXED);
        __atomic_store_n(&entry.other, static_cast<uint32_t>(words[1] >> 32), __ATOMIC_RELAXED);
        __atomic_store_n(&entry.address, words[2], __ATOMIC_RELAXED);
        __atomic_store_n(&entry.mark, mark, __ATOMIC_RELEASE);
    }
}

bool TraceRing::read(uint64_t number, TraceEntry& out) const {
    if (capacity_ == 0 || number >= end()) return false;
    const TraceEntry& entry = entries_[number & (capacity_ - 1)];
    out.mark = __atomic_load_n(&entry.mark, __ATOMIC_ACQUIRE);
    if (static_cast<uint32_t>(out.mark) != static_cast<uint32_t>(number + 1)) return false;
    out.cycles = __atomic_load_n(&entry.cycles, __ATOMIC_RELAXED);
    out.subject = __atomic_load_n(&entry.subject, __ATOMIC_RELAXED);
    out.other = __atomic_load_n(&entry.other, __ATOMIC_RELAXED);
    out.address = __atomic_load_n(&entry.address, __ATOMIC_RELAXED);
    // Numbers are taken before places are filled: while this one was not overtaken, its place is its own.
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return end() - number <= capacity_;
}

}  // namespace helix::kernel

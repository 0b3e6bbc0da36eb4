// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// CpuAreas: mapping them, and handing out counters.

#include "kernel/thread/cpu_areas.hpp"

#include "kernel/memory/mapped_memory.hpp"

#include <new>

namespace helix::kernel {

Result<void> CpuAreas::init(Memory& memory, size_t count) {
    memory_ = &memory;
    first_ = static_cast<uint8_t*>(TRY(memory.region.reserve(count * kStride / kPageSize)));
    for (size_t id = 0; id < count; ++id) {
        TRY(map_at(memory, first_ + id * kStride, kCpuBytes / kPageSize));
        new (first_ + id * kStride) Cpu();
    }
    count_ = count;
    return {};
}

Result<uint64_t> CpuAreas::allocate_counters() {
    SpinLockGuard guard(lock_);
    for (size_t word = 0; word < kMaximumCounters / 64; ++word) {
        if (used_[word] == ~uint64_t{0}) continue;
        const size_t index = word * 64 + static_cast<size_t>(__builtin_ctzll(~used_[word]));
        const uint64_t distance = kCpuBytes + index * sizeof(CallCounters);
        // One page after the other, each on all CPUs.
        while (mapped_pages_ <= index * sizeof(CallCounters) / kPageSize * count_ + count_ - 1) {
            uint8_t* const area = first_ + mapped_pages_ % count_ * kStride;
            TRY(map_at(*memory_, area + kCpuBytes + mapped_pages_ / count_ * kPageSize, 1));
            ++mapped_pages_;
        }
        for (CpuId id = 0; id < count_; ++id) counters(id, distance) = {};
        used_[word] |= uint64_t{1} << index % 64;
        return distance;
    }
    return Error(ErrorCode::OutOfMemory, "too many slots");
}

size_t CpuAreas::counters_in_use() {
    SpinLockGuard guard(lock_);
    size_t count = 0;
    for (const uint64_t word : used_) count += static_cast<size_t>(__builtin_popcountll(word));
    return count;
}

void CpuAreas::free_counters(uint64_t distance) {
    SpinLockGuard guard(lock_);
    const size_t index = (distance - kCpuBytes) / sizeof(CallCounters);
    used_[index / 64] &= ~(uint64_t{1} << index % 64);
}

}  // namespace helix::kernel

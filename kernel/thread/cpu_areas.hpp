// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// CpuAreas: each CPU's own memory. All areas are laid out alike, so that what lies at some distance from one CPU's
// `%gs` lies at the same distance from every other's, and one instruction can count on whatever CPU it runs.
#pragma once

#include "kernel/memory/memory.hpp"
#include "kernel/thread/cpu.hpp"

namespace helix::kernel {

class CpuAreas {
public:
    CpuAreas() = default;
    CpuAreas(const CpuAreas&) = delete;
    CpuAreas& operator=(const CpuAreas&) = delete;

    /// One area with a Cpu for each of `count` CPUs. Once. Errors: OutOfMemory.
    Result<void> init(Memory& memory, size_t count);
    size_t count() const { return count_; }
    Cpu& cpu(CpuId id) const { return *reinterpret_cast<Cpu*>(first_ + id * kStride); }

    /// Zeroed counters on every CPU; returns their distance from `%gs`. Thread context. Errors: OutOfMemory.
    Result<uint64_t> allocate_counters();
    void free_counters(uint64_t distance);
    /// How many are handed out.
    size_t counters_in_use();
    CallCounters& counters(CpuId id, uint64_t distance) const {
        return *reinterpret_cast<CallCounters*>(first_ + id * kStride + distance);
    }

private:
    static constexpr size_t kCpuBytes = (sizeof(Cpu) + kPageSize - 1) / kPageSize * kPageSize;
    static constexpr size_t kCounterPages = 16;
    static constexpr size_t kStride = kCpuBytes + kCounterPages * kPageSize;
    static constexpr size_t kMaximumCounters = kCounterPages * kPageSize / sizeof(CallCounters);

    Memory* memory_ = nullptr;
    uint8_t* first_ = nullptr;
    size_t count_ = 0;
    SpinLock lock_ HELIX_RANK(CpuAreas);
    size_t mapped_pages_ HELIX_GUARDED_BY(lock_) = 0;
    uint64_t used_[kMaximumCounters / 64] HELIX_GUARDED_BY(lock_) = {};
};

}  // namespace helix::kernel

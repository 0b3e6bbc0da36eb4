// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Metrics: what is counted of one module, over all its instances.
#pragma once

#include "helix/types.hpp"

namespace helix::kernel {

/// Counted where the kernel passes anyhow; a call through a handle counts nothing. Read at any time.
class Metrics {
public:
    /// Pauses below 1 us, 10 us, 100 us, 1 ms, 10 ms, 100 ms, 1 s, and longer ones.
    static constexpr size_t kPauses = 8;

    /// A request or an event ended in an error. Any thread context.
    void count_error() { __atomic_fetch_add(&errors_, 1, __ATOMIC_RELAXED); }
    /// An instance failed. Any context.
    void count_failure() { __atomic_fetch_add(&failures_, 1, __ATOMIC_RELAXED); }
    /// It was too slow for an event, or had failed and was not back. Returns how often it was. Any thread context.
    uint64_t count_missed() { return __atomic_add_fetch(&missed_, 1, __ATOMIC_RELAXED); }
    /// An instance goes, in which so many ticks of CPUs were seen.
    void add_ticks(uint64_t ticks) { __atomic_fetch_add(&ticks_, ticks, __ATOMIC_RELAXED); }
    /// Callers were held for so long while the module took a place over.
    void add_pause(uint64_t ns) {
        size_t i = 0;
        for (uint64_t limit = 1000; i < kPauses - 1 && ns >= limit; limit *= 10) ++i;
        __atomic_fetch_add(&pauses_[i], 1, __ATOMIC_RELAXED);
    }

    uint64_t errors() const { return __atomic_load_n(&errors_, __ATOMIC_RELAXED); }
    uint64_t failures() const { return __atomic_load_n(&failures_, __ATOMIC_RELAXED); }
    uint64_t missed() const { return __atomic_load_n(&missed_, __ATOMIC_RELAXED); }
    uint64_t ticks() const { return __atomic_load_n(&ticks_, __ATOMIC_RELAXED); }
    uint32_t pauses(size_t i) const { return __atomic_load_n(&pauses_[i], __ATOMIC_RELAXED); }

private:
    uint64_t errors_ = 0;
    uint64_t failures_ = 0;
    uint64_t missed_ = 0;
    uint64_t ticks_ = 0;  // of instances that are gone; those of the others are their own
    uint32_t pauses_[kPauses] = {};
};

}  // namespace helix::kernel

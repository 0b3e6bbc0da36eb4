// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// How much of each CPU is reserved, and whether there is room for more.
//
// Fractions of a CPU are counted in millionths. Reservations come from all CPUs at once, each under the lock of its
// own: what is counted here is atomic, and a CPU never gets more than the limit.
#pragma once

#include "helix/scheduling.hpp"

namespace helix::scheduling {

class Utilisation {
public:
    static constexpr uint32_t kWhole = 1'000'000;

    /// In init. `limit` is what may be reserved of one CPU.
    void configure(uint32_t limit) { limit_ = limit; }
    /// Nothing is reserved, no CPU takes part. Nobody else may call meanwhile.
    void clear() {
        online_ = 0;
        for (uint32_t& reserved : reserved_) reserved = 0;
    }
    void set_online(CpuId cpu, bool online) {
        if (online)
            __atomic_fetch_or(&online_, uint64_t{1} << cpu % kCpus, __ATOMIC_RELAXED);
        else
            __atomic_fetch_and(&online_, ~(uint64_t{1} << cpu % kCpus), __ATOMIC_RELAXED);
    }
    bool is_online(CpuId cpu) const { return (online() >> cpu % kCpus & 1) != 0; }
    uint64_t online() const { return __atomic_load_n(&online_, __ATOMIC_RELAXED); }
    uint32_t limit() const { return limit_; }
    uint32_t reserved(CpuId cpu) const { return __atomic_load_n(&reserved_[cpu % kCpus], __ATOMIC_RELAXED); }

    /// The part of a CPU that `wanted`, which reserves something, takes: its density, so that a set within the limit
    /// meets its deadlines where they are earlier than the periods' ends, too. Rounded up.
    static uint32_t part_of(const SchedulingAttributes& wanted) {
        return static_cast<uint32_t>((wanted.runtime_ns * kWhole + wanted.due_ns() - 1) / wanted.due_ns());
    }
    /// Reserves `part` more of `cpu`; false if that is beyond the limit.
    bool reserve(CpuId cpu, uint32_t part) {
        uint32_t reserved = this->reserved(cpu);
        do {
            if (reserved + part > limit_) return false;
        } while (!__atomic_compare_exchange_n(&reserved_[cpu % kCpus], &reserved, reserved + part, true,
                                              __ATOMIC_RELAXED, __ATOMIC_RELAXED));
        return true;
    }
    void release(CpuId cpu, uint32_t part) { __atomic_fetch_sub(&reserved_[cpu % kCpus], part, __ATOMIC_RELAXED); }

private:
    static constexpr uint32_t kCpus = 64;

    uint64_t online_ = 0;  ///< CPUs that take part; atomic
    uint32_t limit_ = 0;
    uint32_t reserved_[kCpus] = {};  ///< atomic
};

}  // namespace helix::scheduling

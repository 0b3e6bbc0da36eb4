// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// How much of each CPU is reserved, and whether there is room for more.
//
// Fractions of a CPU are counted in millionths. Reservations come from all CPUs at once, each under the lock of its
// own: what is counted here is atomic, and a CPU never gets more than the limit. What is given back before it is paid
// for goes on counting until then.
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
        for (auto& of_cpu : due_)
            for (uint64_t& due : of_cpu) due = 0;
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
    bool reserve(CpuId cpu, uint32_t part, uint64_t now_ns) {
        free_what_is_due(cpu, now_ns);
        uint32_t reserved = this->reserved(cpu);
        do {
            if (reserved + part > limit_) return false;
        } while (!__atomic_compare_exchange_n(&reserved_[cpu % kCpus], &reserved, reserved + part, true,
                                              __ATOMIC_RELAXED, __ATOMIC_RELAXED));
        return true;
    }
    /// Gives `part` of `cpu` back, for others from `due_ns` on.
    void release(CpuId cpu, uint32_t part, uint64_t due_ns, uint64_t now_ns) {
        if (due_ns <= now_ns || part == 0) return subtract(cpu, part);
        const uint64_t units = due_ns / kUnitNs + 1;
        auto& of_cpu = due_[cpu % kCpus];
        // Where more are due than there are places, two are due at the later one's time.
        for (uint32_t at = 0;; at = (at + 1) % kDue) {
            uint64_t before = __atomic_load_n(&of_cpu[at], __ATOMIC_RELAXED);
            if (before != 0 && at + 1 < kDue) continue;
            const uint64_t later = before >> kPartBits > units ? before >> kPartBits : units;
            const uint64_t after = later << kPartBits | ((before & kPartMask) + part);
            if (__atomic_compare_exchange_n(&of_cpu[at], &before, after, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
                return;
        }
    }
    /// What was given back of `cpu` and is paid for by `now_ns` may be reserved again.
    void free_what_is_due(CpuId cpu, uint64_t now_ns) {
        for (uint64_t& place : due_[cpu % kCpus]) {
            uint64_t due = __atomic_load_n(&place, __ATOMIC_RELAXED);
            if (due == 0 || (due >> kPartBits) > now_ns / kUnitNs) continue;
            if (__atomic_compare_exchange_n(&place, &due, 0, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
                subtract(cpu, static_cast<uint32_t>(due & kPartMask));
        }
    }

private:
    static constexpr uint32_t kCpus = 64;
    static constexpr uint32_t kDue = 8;
    // What is due: a time in units, above the part, of which a CPU has no more than 20 bits.
    static constexpr uint32_t kPartBits = 20;
    static constexpr uint64_t kPartMask = (uint64_t{1} << kPartBits) - 1;
    static constexpr uint64_t kUnitNs = 1024;
    static_assert(kWhole <= kPartMask);

    void subtract(CpuId cpu, uint32_t part) { __atomic_fetch_sub(&reserved_[cpu % kCpus], part, __ATOMIC_RELAXED); }

    uint64_t online_ = 0;  ///< CPUs that take part; atomic
    uint32_t limit_ = 0;
    uint32_t reserved_[kCpus] = {};  ///< atomic
    uint64_t due_[kCpus][kDue] =
        {};  ///< of what is reserved, what is given back when its time has come; 0: free; atomic
};

}  // namespace helix::scheduling

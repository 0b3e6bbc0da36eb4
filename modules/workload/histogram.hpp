// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A histogram of durations from a nanosecond to minutes, each known to one part in 64.
//
// Buckets are as wide as a 64th of the power of two below them, so that a few thousand serve for all lengths: the
// log-linear layout of HdrHistogram (Gil Tene, hdrhistogram.org). Values below 64 are exact.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace helix::workload {

/// Zeroed memory is an empty one. Threads may add at the same time; reading is for when they have ended.
class Histogram {
public:
    static constexpr unsigned kSubBits = 6;
    static constexpr size_t kSubBuckets = size_t{1} << kSubBits;
    static constexpr unsigned kLargestExponent = 40;  ///< longer than 2^41 ns, 36 minutes, counts as that
    static constexpr size_t kBuckets = (kLargestExponent - kSubBits + 2) * kSubBuckets;

    static constexpr size_t bucket_of(uint64_t value) {
        if (value < kSubBuckets) return value;
        const auto exponent = static_cast<unsigned>(63 - __builtin_clzll(value));
        if (exponent > kLargestExponent) return kBuckets - 1;
        const unsigned shift = exponent - kSubBits;
        return (shift + 1) * kSubBuckets + ((value >> shift) - kSubBuckets);
    }
    /// The largest value that is counted in the bucket; of the last one, the largest that is not cut.
    static constexpr uint64_t highest_in(size_t bucket) {
        if (bucket < kSubBuckets) return bucket;
        const auto shift = static_cast<unsigned>(bucket / kSubBuckets - 1);
        return ((kSubBuckets + bucket % kSubBuckets + 1) << shift) - 1;
    }

    void add(uint64_t value) {
        __atomic_fetch_add(&counts_[bucket_of(value)], 1, __ATOMIC_RELAXED);
        uint64_t seen = __atomic_load_n(&largest_, __ATOMIC_RELAXED);
        while (value > seen &&
               !__atomic_compare_exchange_n(&largest_, &seen, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        }
    }
    void clear() {  // in place: a new one would not fit on a small stack
        largest_ = 0;
        for (uint64_t& count : counts_) count = 0;
    }
    void merge(const Histogram& other) {
        for (size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
        if (other.largest_ > largest_) largest_ = other.largest_;
    }
    /// Counts what another one had in its bucket with that highest value, and the largest of them all.
    void merge_bucket(uint64_t highest, uint64_t count, uint64_t largest) {
        counts_[bucket_of(highest)] += count;
        if (largest > largest_) largest_ = largest;
    }

    uint64_t in_bucket(size_t bucket) const { return counts_[bucket]; }
    uint64_t largest() const { return largest_; }  ///< exact; 0 without a value
    uint64_t count() const {
        uint64_t sum = 0;
        for (const uint64_t count : counts_) sum += count;
        return sum;
    }
    /// The value below or at which so many of 10,000 lie, rounded up to the end of its bucket; 0 without a value.
    uint64_t quantile(uint64_t of_10000) const {
        const uint64_t all = count();
        if (all == 0) return 0;
        uint64_t rank = (all * of_10000 + 9999) / 10'000;
        if (rank == 0) rank = 1;
        uint64_t seen = 0;
        for (size_t i = 0; i < kBuckets; ++i) {
            seen += counts_[i];
            if (seen < rank) continue;
            const uint64_t highest = highest_in(i);
            return highest < largest_ && i + 1 < kBuckets ? highest : largest_;
        }
        return largest_;
    }

private:
    uint64_t largest_ = 0;
    uint64_t counts_[kBuckets] = {};
};

}  // namespace helix::workload

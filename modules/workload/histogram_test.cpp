// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The histogram beside exactly sorted values: quantiles are at most one part in 64 too long, never too short.

#include "histogram.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace {
using helix::workload::Histogram;

TEST(Histogram, BucketsFollowEachOtherWithoutGaps) {
    EXPECT_EQ(Histogram::bucket_of(0), 0u);
    for (size_t i = 0; i < Histogram::kBuckets; ++i) {
        const uint64_t highest = Histogram::highest_in(i);
        ASSERT_EQ(Histogram::bucket_of(highest), i);
        ASSERT_EQ(Histogram::bucket_of(highest + 1), std::min(i + 1, Histogram::kBuckets - 1)) << highest;
    }
    EXPECT_EQ(Histogram::bucket_of(UINT64_MAX), Histogram::kBuckets - 1);
}

TEST(Histogram, QuantilesAreThoseOfTheSortedValues) {
    std::mt19937_64 random(42);
    for (int round = 0; round < 200; ++round) {
        // From a few values to thousands, from nanoseconds to minutes.
        const size_t count = 1 + random() % (round % 10 == 0 ? 5000 : 60);
        const auto histogram = std::make_unique<Histogram>();
        std::vector<uint64_t> values;
        for (size_t i = 0; i < count; ++i) {
            values.push_back(random() >> (24 + random() % 40));
            histogram->add(values.back());
        }
        std::ranges::sort(values);
        ASSERT_EQ(histogram->count(), count);
        ASSERT_EQ(histogram->largest(), values.back());
        for (const uint64_t part : {0u, 1u, 100u, 5000u, 9000u, 9900u, 9999u, 10'000u}) {
            const size_t rank = std::max<size_t>((count * part + 9999) / 10'000, 1);
            const uint64_t exact = values[rank - 1], found = histogram->quantile(part);
            ASSERT_GE(found, exact) << part;
            ASSERT_LE(found, exact + exact / 64) << part;
        }
    }
}

TEST(Histogram, WhatWasMergedIsAsIfAddedToOne) {
    std::mt19937_64 random(7);
    const auto one = std::make_unique<Histogram>(), other = std::make_unique<Histogram>(),
               both = std::make_unique<Histogram>(), rebuilt = std::make_unique<Histogram>();
    for (int i = 0; i < 3000; ++i) {
        const uint64_t value = random() >> (20 + random() % 44);
        (i % 3 == 0 ? one : other)->add(value);
        both->add(value);
    }
    one->merge(*other);
    for (size_t i = 0; i < Histogram::kBuckets; ++i) {
        ASSERT_EQ(one->in_bucket(i), both->in_bucket(i));
        if (one->in_bucket(i) != 0) rebuilt->merge_bucket(Histogram::highest_in(i), one->in_bucket(i), one->largest());
    }
    EXPECT_EQ(one->largest(), both->largest());
    for (const uint64_t part : {1u, 5000u, 9900u, 10'000u}) EXPECT_EQ(rebuilt->quantile(part), both->quantile(part));
    one->clear();
    EXPECT_EQ(one->count(), 0u);
    EXPECT_EQ(one->quantile(5000), 0u);
}

TEST(Histogram, ManyThreadsLoseNothing) {
    const auto histogram = std::make_unique<Histogram>();
    constexpr uint64_t kEach = 20'000;
    std::vector<std::thread> threads;
    for (uint64_t t = 1; t <= 4; ++t)
        threads.emplace_back([&, t] {
            for (uint64_t i = 1; i <= kEach; ++i) histogram->add(i * t);
        });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(histogram->count(), 4 * kEach);
    EXPECT_EQ(histogram->largest(), 4 * kEach);
}

}  // namespace

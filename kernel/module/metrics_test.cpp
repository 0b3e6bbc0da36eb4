// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Each pause is counted once, in the class that its length belongs to.
#include "kernel/module/metrics.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace helix::kernel {
namespace {

TEST(Metrics, PausesAreCountedByTheirOrderOfMagnitude) {
    const struct {
        uint64_t ns;
        size_t place;
    } cases[] = {{0, 0},           {999, 0},         {1000, 1},          {9'999, 1},
                 {10'000, 2},      {999'999, 3},     {1'000'000, 4},     {99'999'999, 5},
                 {100'000'000, 6}, {999'999'999, 6}, {1'000'000'000, 7}, {UINT64_MAX, 7}};
    for (const auto& [ns, place] : cases) {
        Metrics metrics;
        metrics.add_pause(ns);
        for (size_t i = 0; i < Metrics::kPauses; ++i) EXPECT_EQ(metrics.pauses(i), i == place ? 1u : 0u) << ns;
    }
}

}  // namespace
}  // namespace helix::kernel

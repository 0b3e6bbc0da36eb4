// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What a benchmark prints: one JSON object a line for each metric, as `helix bench` reads it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace helix::benchmark {

/// The sample below which `part` (0 to 1) of all lie; there is at least one.
inline uint64_t quantile(std::vector<uint64_t> samples, double part) {
    std::sort(samples.begin(), samples.end());
    const auto rank = static_cast<size_t>(part * static_cast<double>(samples.size()));
    return samples[std::min(rank, samples.size() - 1)];
}

/// `peers` are names with the samples that were taken beside those of the metric, in the same unit.
inline void print_metric(const char* name, const char* unit, const std::vector<uint64_t>& samples,
                         const std::vector<std::pair<std::string, std::vector<uint64_t>>>& peers = {}) {
    const auto number = [](uint64_t value) { return static_cast<unsigned long long>(value); };
    printf("{\"metric\":\"%s\",\"unit\":\"%s\",\"median\":%llu,\"p99\":%llu,\"runs\":%zu,\"peers\":{", name, unit,
           number(quantile(samples, 0.5)), number(quantile(samples, 0.99)), samples.size());
    const char* separator = "";
    for (const auto& [peer, taken] : peers) {
        printf("%s\"%s\":%llu", separator, peer.c_str(), number(quantile(taken, 0.5)));
        separator = ",";
    }
    printf("}}\n");
}

}  // namespace helix::benchmark

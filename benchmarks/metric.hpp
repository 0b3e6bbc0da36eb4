// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What a benchmark prints: one JSON object a line for each metric, or their names, as `helix bench` reads them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace helix::benchmark {

/// The first statement of every benchmark: asked for `--list`, it prints the names of all its metrics and is done.
inline bool only_lists(int argument_count, const char* const* arguments, std::initializer_list<const char*> metrics) {
    if (argument_count != 2 || strcmp(arguments[1], "--list") != 0) return false;
    for (const char* metric : metrics) printf("%s\n", metric);
    return true;
}

/// The sample below which `part` (0 to 1) of all lie; there is at least one.
template <typename Number>
Number quantile(std::vector<Number> samples, double part) {
    std::sort(samples.begin(), samples.end());
    const auto rank = static_cast<size_t>(part * static_cast<double>(samples.size()));
    return samples[std::min(rank, samples.size() - 1)];
}

inline void print_number(uint64_t value) {
    printf("%llu", static_cast<unsigned long long>(value));
}
inline void print_number(double value) {
    printf("%.2f", value);
}

/// A number is a uint64_t or a double.
template <typename Number>
using Peers = std::vector<std::pair<std::string, std::vector<Number>>>;

/// `peers` are names with the samples that were taken beside those of the metric, in the same unit.
template <typename Number = uint64_t>
void print_metric(const char* name, const char* unit, const std::type_identity_t<std::vector<Number>>& samples,
                  const std::type_identity_t<Peers<Number>>& peers = {}) {
    printf("{\"metric\":\"%s\",\"unit\":\"%s\",\"median\":", name, unit);
    print_number(quantile(samples, 0.5));
    printf(",\"p99\":");
    print_number(quantile(samples, 0.99));
    printf(",\"runs\":%zu,\"peers\":{", samples.size());
    const char* separator = "";
    for (const auto& [peer, taken] : peers) {
        printf("%s\"%s\":", separator, peer.c_str());
        print_number(quantile(taken, 0.5));
        separator = ",";
    }
    printf("}}\n");
}

}  // namespace helix::benchmark

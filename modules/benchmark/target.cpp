// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The module helix-benchmark-target: what helix-benchmark calls.

#include "benchmark.hpp"
#include "helix/module.hpp"

class BenchmarkTarget final : public helix::Implements<helix::benchmark::Benchmark> {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"helix-benchmark-target"}
                                      .version(1, 0, 0)
                                      .description("Answers the calls that helix-benchmark times")
                                      .author("Helix contributors")
                                      .license("MIT OR Apache-2.0")
                                      .provides({"helix.benchmark"});

    helix::Result<void> init(const helix::Context&) override { return {}; }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }

    uint64_t bounded(uint64_t value) override { return value + 1; }
    uint64_t blocking(uint64_t value) override { return value + 1; }
};
HELIX_MODULE(BenchmarkTarget)

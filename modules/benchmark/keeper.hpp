// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// helix.benchmark_keeper: an interface of a module that keeps state through reloads and crashes.
#pragma once

#include "helix/interface.hpp"

namespace helix::benchmark {

inline uint64_t compute(uint64_t steps) {
    for (uint64_t i = 0; i < steps; ++i) asm volatile("");
    return steps;
}

class Keeper {
public:
    /// Crashes; called again in the instance that takes over, gives the cycles since then.
    virtual uint64_t recover() = 0;
    /// Computes for `steps` steps, a cycle or two each, and gives their number.
    virtual uint64_t work(uint64_t steps) = 0;

protected:
    ~Keeper() = default;
};

}  // namespace helix::benchmark

template <>
struct helix::InterfaceTraits<helix::benchmark::Keeper> {
    static constexpr InterfaceId kId{"helix.benchmark_keeper", 1, 0};
    static constexpr auto kMethods = methods(
        MethodEntry<&helix::benchmark::Keeper::recover>{"recover", MethodTraits::Blocking | MethodTraits::Idempotent},
        MethodEntry<&helix::benchmark::Keeper::work>{"work", MethodTraits::Blocking});
};

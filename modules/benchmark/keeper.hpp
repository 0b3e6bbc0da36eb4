// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// helix.benchmark_keeper: an interface of a module that keeps state through reloads and crashes.
#pragma once

#include "helix/interface.hpp"

namespace helix::benchmark {

class Keeper {
public:
    /// Crashes; called again in the instance that takes over, gives the cycles since then.
    virtual uint64_t recover() = 0;

protected:
    ~Keeper() = default;
};

}  // namespace helix::benchmark

template <>
struct helix::InterfaceTraits<helix::benchmark::Keeper> {
    static constexpr InterfaceId kId{"helix.benchmark_keeper", 1, 0};
    static constexpr auto kMethods = methods(
        MethodEntry<&helix::benchmark::Keeper::recover>{"recover", MethodTraits::Blocking | MethodTraits::Idempotent});
};

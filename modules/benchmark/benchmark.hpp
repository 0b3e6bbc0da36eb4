// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// helix.benchmark: an interface whose methods do next to nothing, so that what remains is the call.
#pragma once

#include "helix/interface.hpp"

namespace helix::benchmark {

class Benchmark {
public:
    /// Both return `value` + 1.
    virtual uint64_t bounded(uint64_t value) = 0;
    virtual uint64_t blocking(uint64_t value) = 0;

protected:
    ~Benchmark() = default;
};

}  // namespace helix::benchmark

template <>
struct helix::InterfaceTraits<helix::benchmark::Benchmark> {
    using Benchmark = helix::benchmark::Benchmark;
    static constexpr InterfaceId kId{"helix.benchmark", 1, 0};
    static constexpr auto kMethods = methods(  //
        MethodEntry<&Benchmark::bounded>{"bounded", MethodTraits::Bounded | MethodTraits::Pure},
        MethodEntry<&Benchmark::blocking>{"blocking", MethodTraits::Blocking | MethodTraits::Pure});
};

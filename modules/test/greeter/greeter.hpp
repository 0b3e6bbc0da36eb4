// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// test.greeter: an interface of which the kernel knows nothing, so that several modules can implement it.
#pragma once

#include "helix/interface.hpp"

namespace helix::test {

class Greeter {
public:
    /// Writes a greeting to `out`; how many bytes, at most out.size().
    virtual uint64_t greet(MutableBytes out) = 0;

protected:
    ~Greeter() = default;
};

/// As much of `greeting` as fits into `out`; returns how many bytes.
inline uint64_t write_greeting(Text greeting, MutableBytes out) {
    const size_t size = out.size() < greeting.size() ? out.size() : greeting.size();
    for (size_t i = 0; i < size; ++i) out[i] = static_cast<uint8_t>(greeting[i]);
    return size;
}

}  // namespace helix::test

template <>
struct helix::InterfaceTraits<helix::test::Greeter> {
    static constexpr InterfaceId kId{"test.greeter", 1, 0};
    static constexpr auto kMethods =
        methods(MethodEntry<&helix::test::Greeter::greet>{"greet", MethodTraits::Blocking | MethodTraits::Pure});
};

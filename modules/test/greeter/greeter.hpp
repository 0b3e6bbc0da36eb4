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

}  // namespace helix::test

template <>
struct helix::InterfaceTraits<helix::test::Greeter> {
    static constexpr InterfaceId kId{"test.greeter", 1, 0};
    static constexpr auto kMethods =
        methods(MethodEntry<&helix::test::Greeter::greet>{"greet", MethodTraits::Blocking | MethodTraits::Pure});
};

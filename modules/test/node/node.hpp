// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// test.node: what all nodes implement, so that one of them is the primary one.
#pragma once

#include "helix/interface.hpp"

namespace helix::test {

class Counting {
public:
    /// Adds one to the count and gives it.
    virtual uint64_t add() = 0;
    /// Crashes.
    virtual uint64_t crash() = 0;

protected:
    ~Counting() = default;
};

}  // namespace helix::test

template <>
struct helix::InterfaceTraits<helix::test::Counting> {
    static constexpr InterfaceId kId{"test.node", 1, 0};
    static constexpr auto kMethods =
        methods(MethodEntry<&helix::test::Counting::add>{"add", MethodTraits::Blocking},
                MethodEntry<&helix::test::Counting::crash>{"crash", MethodTraits::Blocking});
};

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// test.crashing: an interface whose methods fail as they are told.
#pragma once

#include "helix/interface.hpp"

namespace helix::test {

class Crashing {
public:
    /// Fails as `how` says ("null", "divide", …); true when it knows no such way.
    virtual bool crash_blocking(Bytes how) = 0;
    /// The same with preemption off.
    virtual bool crash_bounded(Bytes how) = 0;

protected:
    ~Crashing() = default;
};

}  // namespace helix::test

template <>
struct helix::InterfaceTraits<helix::test::Crashing> {
    static constexpr InterfaceId kId{"test.crashing", 1, 0};
    static constexpr auto kMethods =
        methods(MethodEntry<&helix::test::Crashing::crash_blocking>{"crash_blocking", MethodTraits::Blocking},
                MethodEntry<&helix::test::Crashing::crash_bounded>{"crash_bounded", MethodTraits::Bounded});
};

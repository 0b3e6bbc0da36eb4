// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// test.waver: an interface that only some versions of a module implement.
#pragma once

#include "helix/interface.hpp"

namespace helix::test {

class Waver {
public:
    /// How often anybody was waved to by this instance, this time included.
    virtual uint64_t wave() = 0;

protected:
    ~Waver() = default;
};

}  // namespace helix::test

template <>
struct helix::InterfaceTraits<helix::test::Waver> {
    static constexpr InterfaceId kId{"test.waver", 1, 0};
    static constexpr auto kMethods = methods(MethodEntry<&helix::test::Waver::wave>{"wave", MethodTraits::Blocking});
};

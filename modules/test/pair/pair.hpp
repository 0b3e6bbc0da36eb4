// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// test.pair: an interface whose second major version begins with another method.
#pragma once

#include "helix/interface.hpp"

#if !defined(PAIR_MAJOR)  // the target says it
#define PAIR_MAJOR 1
#endif

namespace helix::test {

class Pair {
public:
#if PAIR_MAJOR >= 2
    /// Not what `count` is: who calls one in place of the other is found out.
    virtual uint64_t version() = 0;
#endif
    /// How often it was called since the module was loaded, this time included.
    virtual uint64_t count() = 0;

protected:
    ~Pair() = default;
};

}  // namespace helix::test

template <>
struct helix::InterfaceTraits<helix::test::Pair> {
    using Pair = helix::test::Pair;
    static constexpr InterfaceId kId{"test.pair", PAIR_MAJOR, 0};
    static constexpr auto kMethods = methods(
#if PAIR_MAJOR >= 2
        MethodEntry<&Pair::version>{"version", MethodTraits::Blocking | MethodTraits::Pure},
#endif
        MethodEntry<&Pair::count>{"count", MethodTraits::Blocking});
};

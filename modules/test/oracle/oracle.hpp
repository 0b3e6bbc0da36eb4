// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// test.oracle: pure methods of every shape that a trial can follow, and one that changes what they answer.
#pragma once

#include "helix/interface.hpp"
#include "helix/result.hpp"

namespace helix::test {

class Oracle {
public:
    virtual uint64_t twice(uint64_t number) = 0;
    /// What was learned so far, twice, and the length of `name` added to it. Errors: NotFound, for an empty name.
    virtual Result<uint64_t> remembered(Text name) = 0;
    /// Writes `number` in decimal to the end of `out`; how many digits.
    virtual uint64_t spell(uint64_t number, MutableBytes out) = 0;
    virtual Result<void> learn(uint64_t number) = 0;
    /// What was learned so far and what was hinted at, once others had time to change both.
    virtual uint64_t pondered() = 0;
    virtual void hint(uint64_t number) = 0;
    /// Waits until somebody wants to know the module's state.
    virtual Result<void> await_hold() = 0;

protected:
    ~Oracle() = default;
};

}  // namespace helix::test

template <>
struct helix::InterfaceTraits<helix::test::Oracle> {
    using Oracle = helix::test::Oracle;
    static constexpr InterfaceId kId{"test.oracle", 1, 0};
    static constexpr auto kMethods =
        methods(MethodEntry<&Oracle::twice>{"twice", MethodTraits::Bounded | MethodTraits::Pure},
                MethodEntry<&Oracle::remembered>{"remembered", MethodTraits::Blocking | MethodTraits::Pure},
                MethodEntry<&Oracle::spell>{"spell", MethodTraits::Blocking | MethodTraits::Pure},
                MethodEntry<&Oracle::learn>{"learn", MethodTraits::Blocking},
                MethodEntry<&Oracle::pondered>{"pondered", MethodTraits::Blocking | MethodTraits::Pure},
                MethodEntry<&Oracle::hint>{"hint", MethodTraits::Bounded},
                MethodEntry<&Oracle::await_hold>{"await_hold", MethodTraits::Blocking});
};

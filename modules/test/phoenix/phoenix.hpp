// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// test.phoenix and test.phoenix_caller: two modules that call each other while one of them dies.
#pragma once

#include "helix/interface.hpp"
#include "helix/result.hpp"

namespace helix::test {

class Phoenix {
public:
    /// What was added so far; dies instead, once, after the request `arm`. May be called twice.
    virtual Result<uint64_t> total() = 0;
    /// Dies.
    virtual Result<uint64_t> die() = 0;
    /// Waits for what never comes.
    virtual Result<uint64_t> hang() = 0;
    /// Calls test.phoenix_caller back, and dies once that has answered.
    virtual Result<uint64_t> ring() = 0;
    /// How often it began to wait for what never comes, in all its lives.
    virtual uint64_t hangs() const = 0;
    /// How often it was asked for its state and gave it, in all its lives.
    virtual uint64_t saves() const = 0;

protected:
    ~Phoenix() = default;
};

class PhoenixCaller {
public:
    /// Takes a moment, and answers.
    virtual Result<uint64_t> answer() = 0;

protected:
    ~PhoenixCaller() = default;
};

}  // namespace helix::test

template <>
struct helix::InterfaceTraits<helix::test::Phoenix> {
    using Phoenix = helix::test::Phoenix;
    static constexpr InterfaceId kId{"test.phoenix", 1, 1};
    static constexpr auto kMethods =
        methods(MethodEntry<&Phoenix::total>{"total", MethodTraits::Blocking | MethodTraits::Idempotent},
                MethodEntry<&Phoenix::die>{"die", MethodTraits::Blocking},
                MethodEntry<&Phoenix::hang>{"hang", MethodTraits::Blocking},
                MethodEntry<&Phoenix::ring>{"ring", MethodTraits::Blocking},
                MethodEntry<&Phoenix::hangs>{"hangs", MethodTraits::Bounded},
                MethodEntry<&Phoenix::saves>{"saves", MethodTraits::Bounded});
};

template <>
struct helix::InterfaceTraits<helix::test::PhoenixCaller> {
    using PhoenixCaller = helix::test::PhoenixCaller;
    static constexpr InterfaceId kId{"test.phoenix_caller", 1, 0};
    static constexpr auto kMethods = methods(MethodEntry<&PhoenixCaller::answer>{"answer", MethodTraits::Blocking});
};

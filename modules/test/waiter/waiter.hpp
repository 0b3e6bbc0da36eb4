// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// test.waiter: blocking methods whose callers must not notice that the module behind them is replaced.
#pragma once

#include "helix/interface.hpp"
#include "helix/result.hpp"

namespace helix::test {

class Waiter {
public:
    /// Waits until somebody requests `speak`; the major version of the module that heard it.
    virtual Result<uint64_t> listen() = 0;
    /// The same, but it does not give up when the module is to be replaced.
    virtual Result<uint64_t> insist() = 0;
    /// Adds one to a counter that is part of the module's state, and returns it.
    virtual Result<uint64_t> count() = 0;
    /// The module's major version; version 3 crashes instead.
    virtual Result<uint64_t> version() = 0;
    /// The same, but nobody says that it may be called twice.
    virtual Result<uint64_t> version_once() = 0;
    /// The same, after computing for some tens of milliseconds; the request `computes` hears that it has begun.
    virtual Result<uint64_t> compute() = 0;
    /// Computes for some hundred microseconds; false if the module was stopped meanwhile.
    virtual bool stays() = 0;

protected:
    ~Waiter() = default;
};

}  // namespace helix::test

template <>
struct helix::InterfaceTraits<helix::test::Waiter> {
    using Waiter = helix::test::Waiter;
    static constexpr InterfaceId kId{"test.waiter", 1, 0};
    static constexpr auto kMethods =
        methods(MethodEntry<&Waiter::listen>{"listen", MethodTraits::Blocking},
                MethodEntry<&Waiter::insist>{"insist", MethodTraits::Blocking},
                MethodEntry<&Waiter::count>{"count", MethodTraits::Blocking},
                MethodEntry<&Waiter::version>{"version", MethodTraits::Blocking | MethodTraits::Idempotent},
                MethodEntry<&Waiter::version_once>{"version_once", MethodTraits::Blocking},
                MethodEntry<&Waiter::compute>{"compute", MethodTraits::Blocking},
                MethodEntry<&Waiter::stays>{"stays", MethodTraits::Bounded});
};

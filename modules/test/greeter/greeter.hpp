// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// test.greeter: an interface of which the kernel knows nothing, so that several modules can implement it.
#pragma once

#include "helix/interface.hpp"

// The build sets another version for some modules: 1.1 appends a method, 2.0 begins with another one.
#ifndef GREETER_MAJOR
#define GREETER_MAJOR 1
#endif
#ifndef GREETER_MINOR
#define GREETER_MINOR 0
#endif

namespace helix::test {

class Greeter {
public:
#if GREETER_MAJOR >= 2
    virtual uint64_t count_greetings(uint64_t first, uint64_t last) = 0;
#endif
    /// Writes a greeting to `out`; how many bytes, at most out.size().
    virtual uint64_t greet(MutableBytes out) = 0;
#if GREETER_MINOR >= 1
    /// The same with a farewell.
    virtual uint64_t part(MutableBytes out) = 0;
#endif

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
    static constexpr InterfaceId kId{"test.greeter", GREETER_MAJOR, GREETER_MINOR};
    static constexpr auto kMethods = methods(
#if GREETER_MAJOR >= 2
        MethodEntry<&helix::test::Greeter::count_greetings>{"count_greetings", MethodTraits::Blocking},
#endif
#if GREETER_MINOR >= 1
        MethodEntry<&helix::test::Greeter::part>{"part", MethodTraits::Blocking | MethodTraits::Pure},
#endif
        MethodEntry<&helix::test::Greeter::greet>{"greet", MethodTraits::Blocking | MethodTraits::Pure});
};

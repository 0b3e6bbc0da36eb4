// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A module whose third interface cannot be published, since it is the second one again, is not loaded, and nothing of
// the first two stays behind.

#include "helix/module.hpp"

namespace {

class First {
public:
    virtual uint64_t first() = 0;

protected:
    ~First() = default;
};
class Second {
public:
    virtual uint64_t second() = 0;

protected:
    ~Second() = default;
};
class SecondAgain {
public:
    virtual uint64_t second_again() = 0;

protected:
    ~SecondAgain() = default;
};

}  // namespace

template <>
struct helix::InterfaceTraits<First> {
    static constexpr InterfaceId kId{"test.first", 1, 0};
    static constexpr auto kMethods = methods(MethodEntry<&First::first>{"first", MethodTraits::Blocking});
};
template <>
struct helix::InterfaceTraits<Second> {
    static constexpr InterfaceId kId{"test.second", 1, 0};
    static constexpr auto kMethods = methods(MethodEntry<&Second::second>{"second", MethodTraits::Blocking});
};
template <>
struct helix::InterfaceTraits<SecondAgain> {
    static constexpr InterfaceId kId{"test.second", 1, 1};
    static constexpr auto kMethods =
        methods(MethodEntry<&SecondAgain::second_again>{"second_again", MethodTraits::Blocking});
};

class ImplementsTwice final : public helix::Implements<First, Second, SecondAgain> {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"implements-twice"}
                                      .version(1, 0, 0)
                                      .flags(helix::ModuleFlags::Experimental)
                                      .provides({"test.first", "test.second"});

    helix::Result<void> init(const helix::Context&) override { return {}; }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }

    uint64_t first() override { return 1; }
    uint64_t second() override { return 2; }
    uint64_t second_again() override { return 3; }
};
HELIX_MODULE(ImplementsTwice)

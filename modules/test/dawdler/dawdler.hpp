// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// test.dawdler and test.dawdler_between: methods that do not come back, and who calls them on behalf of others.
#pragma once

#include "helix/interface.hpp"
#include "helix/result.hpp"

namespace helix::test {

class Dawdler {
public:
    /// Waits for what never comes.
    virtual Result<uint64_t> wait() = 0;
    /// Computes for ever.
    virtual Result<uint64_t> loop() = 0;
    /// The same where it cannot be preempted.
    virtual uint64_t spin() = 0;
    /// Waits in small pieces, for ever.
    virtual Result<uint64_t> doze() = 0;
    /// Sleeps for a millisecond.
    virtual Result<uint64_t> nap() = 0;
    /// Comes back at once.
    virtual Result<uint64_t> glance() = 0;
    /// Sleeps for 80 ms.
    virtual Result<uint64_t> rest() = 0;

protected:
    ~Dawdler() = default;
};

class DawdlerBetween {
public:
    /// Waits for test.dawdler to come back from `wait`, or from `loop`. How many of these calls failed so far.
    virtual Result<uint64_t> pass_on_wait() = 0;
    virtual Result<uint64_t> pass_on_loop() = 0;
    /// Waits until somebody requests `enough`.
    virtual Result<uint64_t> be_patient() = 0;

protected:
    ~DawdlerBetween() = default;
};

}  // namespace helix::test

template <>
struct helix::InterfaceTraits<helix::test::Dawdler> {
    using Dawdler = helix::test::Dawdler;
    static constexpr InterfaceId kId{"test.dawdler", 1, 0};
    static constexpr auto kMethods = methods(MethodEntry<&Dawdler::wait>{"wait", MethodTraits::Blocking},
                                             MethodEntry<&Dawdler::loop>{"loop", MethodTraits::Blocking},
                                             MethodEntry<&Dawdler::spin>{"spin", MethodTraits::Bounded},
                                             MethodEntry<&Dawdler::doze>{"doze", MethodTraits::Blocking},
                                             MethodEntry<&Dawdler::nap>{"nap", MethodTraits::Blocking},
                                             MethodEntry<&Dawdler::glance>{"glance", MethodTraits::Blocking},
                                             MethodEntry<&Dawdler::rest>{"rest", MethodTraits::Blocking});
};

template <>
struct helix::InterfaceTraits<helix::test::DawdlerBetween> {
    using DawdlerBetween = helix::test::DawdlerBetween;
    static constexpr InterfaceId kId{"test.dawdler_between", 1, 0};
    static constexpr auto kMethods =
        methods(MethodEntry<&DawdlerBetween::pass_on_wait>{"pass_on_wait", MethodTraits::Blocking},
                MethodEntry<&DawdlerBetween::pass_on_loop>{"pass_on_loop", MethodTraits::Blocking},
                MethodEntry<&DawdlerBetween::be_patient>{"be_patient", MethodTraits::Blocking});
};

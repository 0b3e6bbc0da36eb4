// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// test.gate: lets a request go on that waits inside the module, which no other request can get into meanwhile.
#pragma once

#include "helix/interface.hpp"
#include "helix/result.hpp"

namespace helix::test {

class Gate {
public:
    virtual Result<void> open() = 0;
    /// Waits until a request waits at the gate.
    virtual Result<void> wait_for_request() = 0;

protected:
    ~Gate() = default;
};

/// The payload of the request `sum`.
struct Terms {
    uint64_t first;
    uint64_t second;
};

}  // namespace helix::test

template <>
struct helix::InterfaceTraits<helix::test::Gate> {
    using Gate = helix::test::Gate;
    static constexpr InterfaceId kId{"test.gate", 1, 0};
    static constexpr auto kMethods =
        methods(MethodEntry<&Gate::open>{"open", MethodTraits::Blocking},
                MethodEntry<&Gate::wait_for_request>{"wait_for_request", MethodTraits::Blocking});
};

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What the classes have in common that POCO's ClassLoader creates, as a peer.
#pragma once

#include <cstdint>

namespace helix::benchmark {

class PocoClass {
public:
    virtual ~PocoClass() = default;
    virtual uint64_t add_one(uint64_t value) const = 0;
};

}  // namespace helix::benchmark

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// How long one CPU waits for another before it gives up.
#pragma once

#include "arch/seam.hpp"

namespace helix::x86_64 {

/// Ask it once in each turn of a waiting loop. Time in which the loop did not turn does not count: when a whole virtual
/// machine was held up, the others had no more of it than this CPU. Any context once the clock runs; before, it is
/// never over.
class Patience {
public:
    explicit Patience(uint64_t nanoseconds) : left_(nanoseconds), before_(arch::now_ns()) {}

    bool is_over() {
        const uint64_t now = arch::now_ns();
        const uint64_t passed = now - before_ < kLongestTurn ? now - before_ : kLongestTurn;
        before_ = now;
        left_ -= passed < left_ ? passed : left_;
        return left_ == 0;
    }

private:
    static constexpr uint64_t kLongestTurn = 100'000;
    uint64_t left_;
    uint64_t before_;
};

}  // namespace helix::x86_64

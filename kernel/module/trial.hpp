// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What a shadow trial is asked for, and what came of it.
#pragma once

#include "helix/types.hpp"

namespace helix::kernel {

struct TrialTerms {
    static constexpr uint32_t kMaximumCalls = 1'000'000;

    uint32_t calls = 0;  ///< so many have to agree; 0: no trial
    uint64_t timeout_ns = 0;
};

struct TrialCounts {
    uint32_t wanted = 0;  ///< 0: there was no trial
    uint32_t compared = 0;
    uint32_t differing = 0;  ///< of those that were compared
    uint64_t skipped = 0;    ///< pure calls that could not be compared
};

/// A question that two implementations answered differently, in words.
struct TrialDifference {
    FixedText<94> method;  ///< with its interface
    FixedText<100> arguments;
    FixedText<100> serving;  ///< what the instance that serves answered
    FixedText<100> shadow;
};

struct TrialReport {
    static constexpr uint32_t kShown = 4;

    FixedText<46> from;  ///< module, with version after a space
    FixedText<46> to;
    FixedText<46> interface;  ///< of the module, the first if it has several
    TrialCounts counts;
    uint32_t shown = 0;
    TrialDifference differences[kShown];  ///< the first different ones
};

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ShadowReport: what came of a trial of a scheduler in the shadow of the ruling one.
#pragma once

#include "kernel/thread/policy_trial.hpp"

namespace helix::kernel {

struct ShadowReport {
    FixedText<46> ruling;  ///< module, with version after a space
    FixedText<46> shadow;
    uint64_t ran_ns = 0;
    PolicyTrial compared;

    /// Of all CPUs.
    PolicyTrial::Counts total() const {
        PolicyTrial::Counts sum;
        for (const PolicyTrial::Counts& cpu : compared.of_cpu) {
            sum.picks = sum.picks + cpu.picks;
            sum.choices = sum.choices + cpu.choices;
            sum.other_picks = sum.other_picks + cpu.other_picks;
            sum.ticks = sum.ticks + cpu.ticks;
            sum.other_ticks = sum.other_ticks + cpu.other_ticks;
        }
        return sum;
    }
};

}  // namespace helix::kernel

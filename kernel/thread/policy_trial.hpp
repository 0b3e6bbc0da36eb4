// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// PolicyTrial: what a mirrored policy would have decided otherwise than the ruling one, counted for each CPU.
#pragma once

#include "arch/seam.hpp"
#include "helix/types.hpp"
#include "kernel/thread/relaxed.hpp"

namespace helix::kernel {

/// Filled by PolicySlot from compare_in until the mirroring ends; read whole afterwards, or a moment late meanwhile.
struct PolicyTrial {
    struct alignas(64) Counts {  ///< written under the lock of the CPU
        Relaxed<uint64_t> picks = 0;
        Relaxed<uint64_t> choices = 0;      ///< of these, more than one thread waited
        Relaxed<uint64_t> other_picks = 0;  ///< of these it would have picked another thread
        Relaxed<uint64_t> ticks = 0;
        Relaxed<uint64_t> other_ticks = 0;  ///< of these it would have decided otherwise whether to preempt
    };
    /// A pick that it would have made otherwise.
    struct Difference {
        uint64_t time_ns;  ///< since boot
        CpuId cpu;
        ThreadId picked;  ///< by the ruling policy
        FixedText<29> picked_name;
        ThreadId other;  ///< by this one
        FixedText<29> other_name;
    };
    static constexpr size_t kShown = 8;

    /// How many of the first are in `first`.
    size_t shown() const {
        const uint32_t count = __atomic_load_n(&differences, __ATOMIC_ACQUIRE);
        return count < kShown ? count : kShown;
    }

    Counts of_cpu[arch::kMaximumCpus];
    Difference first[kShown] = {};
    uint32_t differences = 0;  ///< atomic; not counted beyond those that are kept
};

}  // namespace helix::kernel

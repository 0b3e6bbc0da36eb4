// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// For tests: the n-th attempt of one kind fails, as if memory had run out. In the hosted kernel alone; elsewhere the
// questions below are constants, and cost nothing.
#pragma once

#include <stdint.h>

namespace helix::kernel {

/// What can be made to fail.
enum class Attempt : uint8_t {
    Allocation,  ///< of a heap block or of page frames
    Mapping,     ///< of frames, or the reservation of addresses for them
    Service,     ///< a module's call of a kernel service that can answer with an error or a null pointer
};

#ifdef HELIX_FAILURE_INJECTION

/// One plan in a process. Attempts of other threads than the one that made it neither count nor fail.
class FailureInjection {
public:
    enum class Duration : uint8_t { Once, FromThenOn };
    /// From now on attempts of the calling thread count, and the `n`-th one of `kind` fails, counted from 1, and those
    /// after it if it is to last. Thread context.
    static void arm(Attempt kind, uint64_t n, Duration duration);
    /// Ends that. Whether the attempt came, and failed.
    static bool disarm();
    /// Asked at each attempt, in any context.
    static bool fails(Attempt kind) {
        return __builtin_expect(__atomic_load_n(&thread_, __ATOMIC_RELAXED) != nullptr, 0) && counts_and_fails(kind);
    }

private:
    static bool counts_and_fails(Attempt kind);

    static const void* thread_;  // whose attempts count; atomic, null while there is no plan
    // Of that thread.
    static Attempt kind_;
    static uint64_t left_;
    static Duration duration_;
};

inline bool fails_on_purpose(Attempt kind) {
    return FailureInjection::fails(kind);
}

#else

constexpr bool fails_on_purpose(Attempt) {
    return false;
}

#endif

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The end of the road: an invariant of the kernel itself is broken.
#pragma once

#include "helix/types.hpp"

namespace helix::kernel {

struct TrapFrame;

/// Prints `reason`, where it happened, the last log lines and trace entries, then ends with exit status 101. With a
/// person at the console (boot word `interactive=1`) the profile's `debug.panic_behavior` may say otherwise: `halt`
/// waits for Ctrl-C, `reboot` restarts the machine. `dump` prints the whole log, a longer backtrace and more of the
/// trace. Any context, any locks held.
[[noreturn]] void panic(Text reason);
/// The same for a fault in the kernel itself: the backtrace begins where `frame` was interrupted.
[[noreturn]] void panic(Text reason, const TrapFrame& frame);

}  // namespace helix::kernel

/// For our own mistakes, never for input.
#define HELIX_ASSERT(condition)                                                    \
    do {                                                                           \
        if (!(condition)) ::helix::kernel::panic("assertion failed: " #condition); \
    } while (false)

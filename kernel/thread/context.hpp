// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The one vocabulary for where a function may be called from. The word stands at the declaration. The assertion of the
// same name stands at the beginning of the body, unless a lock that it takes asserts the same, or it is too short and
// too often called; it does something in builds with HELIX_DEBUG_LOCKS.
#pragma once

#include "helix/types.hpp"

#if defined(__clang__)
#define HELIX_CONTEXT(words) __attribute__((annotate("context: " words)))
#else
#define HELIX_CONTEXT(words)
#endif

/// On functions. A thread, preemption on, outside of bounded calls, no spin lock held: it may block.
#define HELIX_MAY_SLEEP HELIX_CONTEXT("may sleep")
/// Preemption is off: the caller stays on its CPU, and an interrupt cannot switch.
#define HELIX_PREEMPTION_OFF HELIX_CONTEXT("preemption off")
/// A thread, or an interrupt handler that found preemption on: it may take spin locks and never blocks.
#define HELIX_MAY_SPIN HELIX_CONTEXT("may spin")
/// Part of an interrupt's handler, before that may let another thread run: it stays on its CPU, does not block, and
/// takes no lock unless preemption was on where the interrupt came.
#define HELIX_INTERRUPT HELIX_CONTEXT("interrupt")
/// Anywhere, also in an interrupt that came upon a held lock: atomics only.
#define HELIX_ANY_CONTEXT HELIX_CONTEXT("any")

namespace helix::kernel::context {

#if defined(HELIX_DEBUG_LOCKS)
/// Each panics with the name of `function` where it is called from somewhere else.
void require_may_sleep(Text function);
void require_preemption_off(Text function);
void require_may_spin(Text function);
void require_interrupt(Text function);

/// In the handler of an interrupt, a fault or a watchdog, from its first line on until it may let another thread run.
/// Its CPU is in interrupt context while one lives; they nest.
class Interrupt {
public:
    Interrupt();
    ~Interrupt();
    Interrupt(const Interrupt&) = delete;
    Interrupt& operator=(const Interrupt&) = delete;

private:
    const bool came_upon_locks_;  // perhaps: preemption was off
};
#else
inline void require_may_sleep(Text) {}
inline void require_preemption_off(Text) {}
inline void require_may_spin(Text) {}
inline void require_interrupt(Text) {}
class Interrupt {
public:
    Interrupt() {}  // declared, so that nobody takes one for unused
};
#endif

}  // namespace helix::kernel::context

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Lending: while a hold waits for calls to leave a module, threads that are inside run before others.
#pragma once

#include "kernel/thread/thread.hpp"

namespace helix::kernel {

class Threads;

/// Lends the highest priority of the policy's threads, by inheritance (inheritance.hpp): a thread that is inside, and
/// whoever it waits for a mutex of, has it until it leaves the slot (Slot::left) or this ends. Of one thread, which is
/// in a transaction; preemption on, no lock held. Nobody but it, and who is lent to, is asked for anything.
class Lending {
public:
    /// To those who have called into `inside`; null: to nobody.
    Lending(Threads& threads, const Owner* inside) : threads_(threads), inside_(inside) {}
    ~Lending();
    Lending(const Lending&) = delete;
    Lending& operator=(const Lending&) = delete;

    /// Looks who is inside and does not run at this moment. Who runs needs nothing yet: look again, after a tick.
    void look() HELIX_MAY_SPIN;

private:
    Threads& threads_;
    const Owner* const inside_;
    bool lent_ = false;
};

}  // namespace helix::kernel

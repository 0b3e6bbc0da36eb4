// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Waiters: threads in line for something that is given to them, first come first served. For locks with a spin lock of
// their own, under which all of this is called.
#pragma once

#include "kernel/thread/wait_queue.hpp"

namespace helix::kernel {

/// One thread in line; on its stack.
struct Waiter : boost::intrusive::list_base_hook<> {
    explicit Waiter(Thread& of, bool exclusive = true) : thread(of), wants_alone(exclusive) {}

    Thread& thread;
    const bool wants_alone;  ///< for locks that know two ways
    bool granted = false;
};

class Waiters {
public:
    bool empty() const { return line_.empty(); }
    Waiter& front() { return line_.front(); }
    void push(Waiter& waiter) { line_.push_back(waiter); }
    /// Gives the first in line what it waits for. It may run out of time in the same moment: it has it nevertheless.
    void grant_first();
    /// Whoever was not granted leaves the line; true if it had been granted.
    bool leave(Waiter& waiter) {
        if (!waiter.granted) line_.erase(line_.iterator_to(waiter));
        return waiter.granted;
    }

private:
    boost::intrusive::list<Waiter> line_;
};

}  // namespace helix::kernel

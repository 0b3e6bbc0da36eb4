// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// EventFlag: something has happened, or not yet; threads wait for it. Module events are another thing
// (event_queue.hpp).
#pragma once

#include "kernel/thread/wait_queue.hpp"

namespace helix::kernel {

/// What a successful wait leaves behind.
enum class EventReset : uint8_t {
    Manual,     ///< it stays set, for everybody, until somebody resets it
    Automatic,  ///< it is reset: one set lets one waiter go on
};

class EventFlag {
public:
    explicit EventFlag(EventReset reset) : reset_(reset) {}

    /// Errors: TimedOut, Cancelled.
    Result<void> wait(uint64_t timeout_ns = kForever) HELIX_MAY_SLEEP {
        const WakeReason reason = queue_.wait_until(
            [&] {
                const bool was_set = set_;
                if (reset_ == EventReset::Automatic) set_ = false;
                return was_set;
            },
            deadline_after(timeout_ns));
        if (reason == WakeReason::TimedOut) return ErrorCode::TimedOut;
        if (reason == WakeReason::Cancelled) return ErrorCode::Cancelled;
        return {};
    }
    void set() HELIX_MAY_SPIN {
        if (reset_ == EventReset::Automatic)
            queue_.wake_one([&] { set_ = true; });
        else
            queue_.wake_all([&] { set_ = true; });
    }
    void reset() HELIX_MAY_SPIN {
        queue_.locked([&] { set_ = false; });
    }
    bool is_set() HELIX_MAY_SPIN {
        return queue_.locked([&] { return set_; });
    }

private:
    WaitQueue queue_;
    const EventReset reset_;
    bool set_ = false;  // guarded by the queue's lock
};

}  // namespace helix::kernel

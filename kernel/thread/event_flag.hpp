// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// EventFlag: something has happened, or not yet; threads wait for it. Module events are another thing
// (event_queue.hpp).
#pragma once

#include "kernel/thread/awaited.hpp"

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
        const WakeReason reason = set_.wait_until(
            [&](bool& is_set) {
                const bool was_set = is_set;
                if (reset_ == EventReset::Automatic) is_set = false;
                return was_set;
            },
            deadline_after(timeout_ns));
        if (reason == WakeReason::TimedOut) return ErrorCode::TimedOut;
        if (reason == WakeReason::Cancelled) return ErrorCode::Cancelled;
        return {};
    }
    void set() HELIX_MAY_SPIN {
        if (reset_ == EventReset::Automatic)
            set_.wake_one([](bool& is_set) { is_set = true; });
        else
            set_.wake_all([](bool& is_set) { is_set = true; });
    }
    void reset() HELIX_MAY_SPIN {
        set_.with([](bool& is_set) { is_set = false; });
    }
    bool is_set() HELIX_MAY_SPIN {
        return set_.with([](bool& is_set) { return is_set; });
    }

private:
    const EventReset reset_;
    Awaited<bool> set_;
};

}  // namespace helix::kernel

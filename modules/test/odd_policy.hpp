// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What odd policies begin with: round robin, whose every thread goes in by enqueue and comes out by pick_next.
#pragma once

#include "../scheduler/round_robin/round_robin.hpp"

namespace helix::test_support {

class OddPolicy : public scheduling::RoundRobinPolicy {
public:
    // NOLINTBEGIN(bugprone-parent-virtual-call): the defaults of the interface, which ask this policy's own methods
    SchedulerThread* yield(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason reason) override {
        return Scheduler::yield(cpu, thread, reason);
    }
    SchedulerThread* would_pick(SchedulerCpu& cpu) override { return Scheduler::would_pick(cpu); }
    // NOLINTEND(bugprone-parent-virtual-call)

protected:
    ~OddPolicy() = default;
};

}  // namespace helix::test_support

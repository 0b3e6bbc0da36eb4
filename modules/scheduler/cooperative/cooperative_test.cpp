// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Tests of the cooperative policy: nobody loses the CPU against its will, and who gives way waits behind all others.

#include "cooperative.hpp"

#include "../../test/simulated_cpu.hpp"

#include <gtest/gtest.h>

namespace {
using namespace helix;
using test_support::SimulatedCpu;

class Cooperative final : public scheduling::CooperativePolicy {};

TEST(Cooperative, WhoRunsGoesOnUntilItGivesWay) {
    Cooperative policy;
    SimulatedCpu cpu(policy);
    SchedulerThread a{}, b{}, c{};
    cpu.wake(SimulatedCpu::prepare(a, 1, 0), EnqueueReason::Created);
    cpu.wake(SimulatedCpu::prepare(b, 2, 31), EnqueueReason::Created);
    cpu.wake(SimulatedCpu::prepare(c, 3), EnqueueReason::Created);
    for (int i = 0; i < 10'000; ++i) {
        cpu.run(1'000'000);
        cpu.tick();
        ASSERT_EQ(cpu.current(), &a);
    }
    cpu.yield();
    EXPECT_EQ(cpu.current(), &b);
    cpu.yield();
    EXPECT_EQ(cpu.current(), &c);
    cpu.block();
    EXPECT_EQ(cpu.current(), &a);
    EXPECT_TRUE(policy.is_healthy());
}

TEST(Cooperative, WhoHadToGiveWayToTheKernelGoesOnFirst) {
    Cooperative policy;
    SimulatedCpu cpu(policy);
    SchedulerThread a{}, b{};
    cpu.wake(SimulatedCpu::prepare(a, 1), EnqueueReason::Created);
    cpu.wake(SimulatedCpu::prepare(b, 2), EnqueueReason::Created);
    cpu.preempt();
    EXPECT_EQ(cpu.current(), &a);
}

}  // namespace

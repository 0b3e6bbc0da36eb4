// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Tests of the priority policy where it differs from round robin.

#include "../../test/host_services.hpp"

#include "priority.hpp"

#include <gtest/gtest.h>

namespace {
using namespace helix;

class Priority final : public scheduling::PriorityPolicy {};

class PriorityTest : public ::testing::Test {
protected:
    static constexpr uint64_t kMs = 1'000'000;

    void SetUp() override { host_.declare(Priority::kOptions); }
    SchedulerThread& add(SchedulerThread& thread, uint32_t id, uint32_t priority) {
        thread.id = ThreadId(id);
        thread.priority = priority;
        thread.affinity = 1;
        policy_.enqueue(cpu_, thread, EnqueueReason::Created);
        return thread;
    }

    test_support::HostServices host_;
    Priority policy_;
    SchedulerCpu cpu_{};
    SchedulerThread a_{}, b_{}, c_{};
};

TEST_F(PriorityTest, APreemptedThreadKeepsItsPlaceAndTheRestOfItsSlice) {
    ASSERT_TRUE(policy_.init(host_.context()).ok());
    add(a_, 1, 10);
    add(b_, 2, 10);
    cpu_.current = policy_.pick_next(cpu_);
    ASSERT_EQ(cpu_.current, &a_);
    EXPECT_EQ(policy_.tick(cpu_, 100 * kMs), TickDecision::Continue);
    EXPECT_EQ(policy_.tick(cpu_, 106 * kMs), TickDecision::Continue);
    add(c_, 3, 20);
    EXPECT_TRUE(policy_.should_preempt(cpu_, c_));
    a_.runtime_ns = 6 * kMs;
    policy_.enqueue(cpu_, a_, EnqueueReason::Preempted);
    EXPECT_EQ(policy_.pick_next(cpu_), &c_);
    cpu_.current = policy_.pick_next(cpu_);
    EXPECT_EQ(cpu_.current, &a_) << "it goes on before its equal";
    EXPECT_EQ(policy_.tick(cpu_, 110 * kMs), TickDecision::Continue);
    EXPECT_EQ(policy_.tick(cpu_, 114 * kMs), TickDecision::Preempt) << "6 ms and 4 ms are a slice";
    a_.runtime_ns = 10 * kMs;
    policy_.enqueue(cpu_, a_, EnqueueReason::Preempted);
    EXPECT_EQ(policy_.pick_next(cpu_), &b_) << "with its slice used it waits behind its equal";
    EXPECT_TRUE(policy_.self_check(cpu_, a_));
    EXPECT_FALSE(policy_.self_check(cpu_, b_)) << "it was picked";
}

TEST_F(PriorityTest, TheLongestWaitingRunsOnceAfterTheStarvationLimit) {
    ASSERT_TRUE(policy_.init(host_.context()).ok());
    add(a_, 1, 20);
    add(b_, 2, 1);
    cpu_.current = policy_.pick_next(cpu_);
    ASSERT_EQ(cpu_.current, &a_);
    uint64_t now = 0;
    int switches = 0;
    uint64_t first_run_of_b = 0;
    while (now < 3000 * kMs) {
        now += kMs;
        if (policy_.tick(cpu_, now) == TickDecision::Continue) continue;
        ++switches;
        policy_.enqueue(cpu_, *cpu_.current, EnqueueReason::Preempted);
        cpu_.current = policy_.pick_next(cpu_);
        if (cpu_.current == &b_ && first_run_of_b == 0) first_run_of_b = now;
    }
    EXPECT_GE(first_run_of_b, 500 * kMs);
    EXPECT_LE(first_run_of_b, (500 + 4 * 2 * 11) * kMs);
    EXPECT_GE(switches, 8);
    EXPECT_LE(switches, 24) << "it runs for a slice and then waits again";
}

TEST_F(PriorityTest, AnOverdueThreadIsNotPreemptedAtOnce) {
    ASSERT_TRUE(policy_.init(host_.context()).ok());
    add(a_, 1, 20);
    add(b_, 2, 1);
    cpu_.current = policy_.pick_next(cpu_);
    for (uint64_t now = kMs; cpu_.current != &b_; now += kMs) {
        ASSERT_LT(now, 2000 * kMs);
        if (policy_.tick(cpu_, now) == TickDecision::Continue) continue;
        policy_.enqueue(cpu_, *cpu_.current, EnqueueReason::Preempted);
        cpu_.current = policy_.pick_next(cpu_);
    }
    add(c_, 3, 31);
    EXPECT_FALSE(policy_.should_preempt(cpu_, c_));
}

TEST_F(PriorityTest, WithTheLimitOffTheMostUrgentRunsAlone) {
    host_.set("starvation_limit_ms", "0");
    ASSERT_TRUE(policy_.init(host_.context()).ok());
    add(a_, 1, 20);
    add(b_, 2, 1);
    cpu_.current = policy_.pick_next(cpu_);
    for (uint64_t now = kMs; now < 5000 * kMs; now += kMs) ASSERT_EQ(policy_.tick(cpu_, now), TickDecision::Continue);
    EXPECT_EQ(cpu_.current, &a_);
}

}  // namespace

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Tests of the priority policy where it differs from round robin.

#include "../../conformance/report.hpp"
#include "../../test/host_services.hpp"
#include "../../test/simulated_cpu.hpp"

#include "priority.hpp"

#include <gtest/gtest.h>

namespace {
using namespace helix;
using test_support::SimulatedCpu;

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

    /// A tick at `now_ns`, to which `cpu_.current` used a millisecond.
    TickDecision tick(uint64_t now_ns) {
        cpu_.current->runtime_ns += kMs;
        return policy_.tick(cpu_, now_ns);
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
    a_.runtime_ns = 6 * kMs;
    EXPECT_EQ(policy_.tick(cpu_, 106 * kMs), TickDecision::Continue);
    add(c_, 3, 20);
    EXPECT_TRUE(policy_.should_preempt(cpu_, c_));
    policy_.enqueue(cpu_, a_, EnqueueReason::Preempted);
    EXPECT_EQ(policy_.pick_next(cpu_), &c_);
    cpu_.current = policy_.pick_next(cpu_);
    EXPECT_EQ(cpu_.current, &a_) << "it goes on before its equal";
    a_.runtime_ns = 9 * kMs;
    EXPECT_EQ(policy_.tick(cpu_, 113 * kMs), TickDecision::Continue);
    a_.runtime_ns = 10 * kMs;
    EXPECT_EQ(policy_.tick(cpu_, 114 * kMs), TickDecision::Preempt) << "6 ms and 4 ms are a slice";
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
        if (tick(now) == TickDecision::Continue) continue;
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
        if (tick(now) == TickDecision::Continue) continue;
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
    for (uint64_t now = kMs; now < 5000 * kMs; now += kMs) ASSERT_EQ(tick(now), TickDecision::Continue);
    EXPECT_EQ(cpu_.current, &a_);
}

TEST_F(PriorityTest, AThreadThatAsksForItRunsUntilItBlocksBeforeItsEquals) {
    host_.set("starvation_limit_ms", "0");
    ASSERT_TRUE(policy_.init(host_.context()).ok());
    SchedulingAttributes wanted;
    wanted.runtime_ns = SchedulingAttributes::kUntilItBlocks;
    ASSERT_TRUE(policy_.set_attributes(cpu_, a_, wanted, false));
    a_.attributes = wanted;
    add(a_, 1, 10);
    add(b_, 2, 10);
    cpu_.current = policy_.pick_next(cpu_);
    uint64_t now = kMs;
    for (; now < 5000 * kMs; now += kMs) ASSERT_EQ(tick(now), TickDecision::Continue);
    add(c_, 3, 11);
    EXPECT_TRUE(policy_.should_preempt(cpu_, c_)) << "it keeps off its equals, nobody else";
    cpu_.current = policy_.yield(cpu_, a_, EnqueueReason::Preempted);
    ASSERT_EQ(cpu_.current, &c_);
    EXPECT_EQ(policy_.pick_next(cpu_), &a_) << "and goes on before them";
    cpu_.current = &a_;
    EXPECT_EQ(policy_.yield(cpu_, a_, EnqueueReason::Yielded), &b_);
}

/// Whoever is more urgent runs at each tick, and the others between them.
TEST_F(PriorityTest, EqualsTakeTurnsThoughNoTickSeesThem) {
    host_.set("starvation_limit_ms", "0");
    ASSERT_TRUE(policy_.init(host_.context()).ok());
    SimulatedCpu cpu(policy_);
    SchedulerThread urgent, equals[3];
    for (uint32_t i = 0; i < 3; ++i) cpu.wake(SimulatedCpu::prepare(equals[i], i + 1, 10), EnqueueReason::Created);
    SimulatedCpu::prepare(urgent, 4, 20);
    for (int i = 0; i < 3000; ++i) {
        cpu.run(kMs * 8 / 10);
        cpu.wake(urgent, EnqueueReason::Woken);
        ASSERT_EQ(cpu.current(), &urgent);
        cpu.run(kMs * 2 / 10);
        cpu.tick();
        cpu.block();
    }
    for (const SchedulerThread& thread : equals) EXPECT_NEAR(static_cast<double>(thread.runtime_ns) / kMs, 800, 11);
}

TEST_F(PriorityTest, EvenThenTheOverdueGetTheirTurn) {
    ASSERT_TRUE(policy_.init(host_.context()).ok());
    a_.attributes.runtime_ns = SchedulingAttributes::kUntilItBlocks;
    add(a_, 1, 10);
    add(b_, 2, 10);
    cpu_.current = policy_.pick_next(cpu_);
    uint64_t now = kMs;
    for (; cpu_.current == &a_ && now < 2000 * kMs; now += kMs)
        if (tick(now) == TickDecision::Preempt) cpu_.current = policy_.yield(cpu_, a_, EnqueueReason::Preempted);
    EXPECT_EQ(cpu_.current, &b_);
    EXPECT_GE(now, 500 * kMs);
}

TEST_F(PriorityTest, AReservationIsRefused) {
    ASSERT_TRUE(policy_.init(host_.context()).ok());
    SchedulingAttributes wanted;
    wanted.runtime_ns = kMs;
    wanted.period_ns = 10 * kMs;
    EXPECT_FALSE(policy_.set_attributes(cpu_, a_, wanted, false));
}

TEST_F(PriorityTest, PrioritiesAreNeverInverted) {
    // Whatever happens, nobody waits who is more urgent than the one that runs, once the kernel has asked.
    host_.set("starvation_limit_ms", "0");
    ASSERT_TRUE(policy_.init(host_.context()).ok());
    SimulatedCpu cpu(policy_);
    conformance::Random random(11);
    SchedulerThread threads[24] = {};
    enum class Where { Out, In } where[24] = {};
    for (uint32_t i = 0; i < 24; ++i) SimulatedCpu::prepare(threads[i], i + 1, random.below(32));
    uint32_t waited = 0;
    for (int step = 0; step < 100'000; ++step) {
        const uint32_t i = random.below(24);
        switch (random.below(6)) {
            case 0:
            case 1:
                if (where[i] == Where::In) break;
                cpu.wake(threads[i], EnqueueReason::Woken);
                where[i] = Where::In;
                break;
            case 2:
                if (cpu.current() == nullptr) break;
                where[cpu.current() - threads] = Where::Out;
                cpu.block();
                break;
            case 3:
                if (cpu.current() != nullptr) cpu.yield();
                break;
            case 4: {
                const uint32_t old = threads[i].priority;
                threads[i].priority = random.below(32);
                const bool queued = where[i] == Where::In && cpu.current() != &threads[i];
                policy_.priority_changed(cpu.view(), threads[i], old, queued);
                // As the kernel does: the one that runs may no longer be the most urgent.
                if (cpu.current() == &threads[i] ? threads[i].priority < old
                                                 : queued && policy_.should_preempt(cpu.view(), threads[i]))
                    cpu.preempt();
                break;
            }
            default:
                cpu.run(kMs);
                cpu.tick();
                break;
        }
        for (uint32_t k = 0; k < 24; ++k) {
            if (where[k] == Where::Out || &threads[k] == cpu.current()) continue;
            ++waited;
            ASSERT_NE(cpu.current(), nullptr);
            ASSERT_LE(threads[k].priority, cpu.current()->priority) << "step " << step;
        }
    }
    EXPECT_GT(waited, 100'000u);
}

}  // namespace

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Tests of the round-robin policy on threads and CPUs of their own.

#include "round_robin.hpp"
#include "../../test/host_services.hpp"
#include "../../test/simulated_cpu.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace {
using namespace helix;
using helix::test_support::HostServices;

class RoundRobinUnderTest final : public scheduling::RoundRobinPolicy {};

class RoundRobinTest : public ::testing::Test {
protected:
    static constexpr uint64_t kMs = 1'000'000;

    void init(const std::string& slice_ms, const std::string& levels, const std::string& aging_ms) {
        host_.set("time_slice_ms", slice_ms);
        host_.set("priority_levels", levels);
        host_.set("aging_ms", aging_ms);
        ASSERT_TRUE(policy_.init(host_.context()).ok());
    }
    SchedulerThread& add(uint32_t priority) {
        threads_.push_back(std::make_unique<SchedulerThread>());
        SchedulerThread& thread = *threads_.back();
        thread.id = ThreadId(static_cast<uint32_t>(threads_.size()));
        thread.priority = priority;
        thread.affinity = 1;
        policy_.enqueue(cpu_, thread, EnqueueReason::Created);
        return thread;
    }
    void pick() { cpu_.current = policy_.pick_next(cpu_); }
    /// A tick of `ms`; a preempted thread goes back and the next one is picked.
    bool tick(uint64_t ms) {
        now_ns_ += ms * kMs;
        SchedulerThread& thread = *cpu_.current;
        thread.runtime_ns += ms * kMs;
        if (policy_.tick(cpu_, now_ns_) == TickDecision::Continue) return false;
        cpu_.current = nullptr;
        policy_.enqueue(cpu_, thread, EnqueueReason::Preempted);
        pick();
        return true;
    }

    HostServices host_;
    RoundRobinUnderTest policy_;
    SchedulerCpu cpu_{};
    uint64_t now_ns_ = 1000 * kMs;
    std::vector<std::unique_ptr<SchedulerThread>> threads_;
};

TEST_F(RoundRobinTest, DeclaredDefaultsAreAccepted) {
    host_.declare(scheduling::RoundRobinPolicy::kOptions);
    EXPECT_TRUE(policy_.init(host_.context()).ok());
}

TEST_F(RoundRobinTest, ItsTurnsArePromised) {
    init("30", "32", "200");
    EXPECT_EQ(promised_turn_ms(policy_.plug_in()), 30u);
    EXPECT_EQ(promised_turn_ms(SchedulerTraits::Preempts), 1000u);
    EXPECT_EQ(promised_turn_ms(SchedulerTraits::Preempts | turns_of(kMs + 1)), 2u);
    EXPECT_EQ(promised_turn_ms(SchedulerTraits::Preempts | turns_of(UINT64_MAX / 2)), 65'535u);
    EXPECT_EQ(promised_turn_ms(SchedulerTraits::WantsTime | turns_of(kMs)), 0u);  // only who preempts can keep it
    EXPECT_FALSE(has(turns_of(UINT64_MAX / 2), SchedulerTraits::PlacesThreads));
}

TEST_F(RoundRobinTest, AValueThatIsNoNumberFailsInit) {
    host_.declare(scheduling::RoundRobinPolicy::kOptions);
    host_.set("time_slice_ms", "soon");
    const auto result = policy_.init(host_.context());
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().sentence(), Text("option time_slice_ms: \"soon\" is not an integer"));
}

TEST_F(RoundRobinTest, EqualsTakeTurnsByTimeSlice) {
    init("10", "32", "0");
    SchedulerThread& a = add(16);
    SchedulerThread& b = add(16);
    pick();
    EXPECT_EQ(cpu_.current, &a);
    uint32_t switches = 0;
    for (int i = 0; i < 1100; ++i) switches += tick(1);
    EXPECT_NEAR(switches, 110, 2);
    EXPECT_NEAR(static_cast<double>(a.runtime_ns), static_cast<double>(b.runtime_ns), 11.0 * kMs);
}

/// Whoever is on a higher level runs at each tick, and the others between them.
TEST_F(RoundRobinTest, EqualsTakeTurnsThoughNoTickSeesThem) {
    using test_support::SimulatedCpu;
    init("10", "32", "0");
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

TEST_F(RoundRobinTest, NobodyGrowsOldWhileTheCpuIdles) {
    // The clock by which threads wait gains a tenth of a second from one tick to the next at most.
    init("10", "32", "200");
    SchedulerThread& waits = add(3);
    add(20);
    pick();
    const auto& queue = cpu_.policy<scheduling::RunQueues>();
    const auto waited_ms = [&] { return queue.waited_ns(waits) / kMs; };
    EXPECT_FALSE(tick(1));
    EXPECT_EQ(waited_ms(), 0u) << "the first tick says when the clock begins";
    EXPECT_FALSE(tick(99));
    EXPECT_EQ(waited_ms(), 99u);
    EXPECT_FALSE(tick(60'000)) << "a minute in which no thread of this policy ran";
    EXPECT_EQ(waited_ms(), 199u);
    EXPECT_EQ(queue.longest_waiting(200 * kMs), nullptr);
    EXPECT_FALSE(tick(1));
    EXPECT_EQ(queue.longest_waiting(200 * kMs), &waits) << "now it is overdue";
    policy_.tick(cpu_, now_ns_ - kMs);  // a clock that goes back
    EXPECT_EQ(queue.clock_ns / kMs, 200u);
}

TEST_F(RoundRobinTest, OneLevelIgnoresPriorities) {
    init("10", "1", "0");
    SchedulerThread& low = add(0);
    SchedulerThread& high = add(31);
    EXPECT_EQ(policy_.pick_next(cpu_), &low);
    EXPECT_EQ(policy_.pick_next(cpu_), &high);
}

TEST_F(RoundRobinTest, AHigherLevelRunsFirstAndPreempts) {
    init("10", "32", "0");
    SchedulerThread& low = add(3);
    pick();
    EXPECT_EQ(cpu_.current, &low);
    SchedulerThread& high = add(4);
    EXPECT_TRUE(policy_.should_preempt(cpu_, high));
    EXPECT_TRUE(tick(1));
    EXPECT_EQ(cpu_.current, &high);
}

TEST_F(RoundRobinTest, NobodyWaitsLongerThanTheDocumentedBound) {
    init("10", "32", "100");
    for (uint32_t priority = 0; priority < 32; ++priority) add(priority);
    std::vector<uint64_t> last(threads_.size(), now_ns_);
    uint64_t longest = 0;
    pick();
    for (int i = 0; i < 60'000; ++i) {
        tick(1);
        for (size_t t = 0; t < threads_.size(); ++t) {
            if (threads_[t].get() == cpu_.current) last[t] = now_ns_;
            longest = std::max(longest, now_ns_ - last[t]);
        }
    }
    EXPECT_LE(longest, (100 + 4 * 32 * (10 + 1)) * kMs);
    EXPECT_GE(longest, 100 * kMs);
}

TEST_F(RoundRobinTest, TheHighestLevelWaitsAtMostTwoSlicesForOverdueThreads) {
    init("10", "32", "100");
    for (int i = 0; i < 200; ++i) add(5);
    pick();
    for (int i = 0; i < 1000; ++i) tick(1);
    SchedulerThread& urgent = add(31);
    int waited = 0;
    while (cpu_.current != &urgent) {
        tick(1);
        ASSERT_LE(++waited, 2 * 11);
    }
}

TEST_F(RoundRobinTest, WithoutAgingALowerLevelWaits) {
    init("10", "32", "0");
    SchedulerThread& low = add(3);
    SchedulerThread& high = add(4);
    pick();
    for (int i = 0; i < 5000; ++i) tick(1);
    EXPECT_EQ(cpu_.current, &high);
    EXPECT_EQ(low.runtime_ns, 0u);
}

TEST_F(RoundRobinTest, APriorityThatChangesWhileQueuedTakesEffect) {
    init("10", "32", "0");
    SchedulerThread& a = add(10);
    SchedulerThread& b = add(10);
    b.priority = 20;
    policy_.priority_changed(cpu_, b, 10, true);
    EXPECT_TRUE(policy_.self_check(cpu_, a));
    EXPECT_TRUE(policy_.self_check(cpu_, b));
    EXPECT_EQ(policy_.pick_next(cpu_), &b);
    EXPECT_EQ(policy_.pick_next(cpu_), &a);
    EXPECT_EQ(policy_.pick_next(cpu_), nullptr);
}

TEST_F(RoundRobinTest, OnlyAHigherLevelPreempts) {
    init("10", "32", "0");
    add(16);
    pick();
    EXPECT_FALSE(policy_.should_preempt(cpu_, add(16)));
    EXPECT_FALSE(policy_.should_preempt(cpu_, add(15)));
    EXPECT_TRUE(policy_.should_preempt(cpu_, add(17)));
}

TEST_F(RoundRobinTest, WhosePriorityChangesWaitsBehindItsNewEquals) {
    init("10", "32", "0");
    SchedulerThread& changed = add(10);
    SchedulerThread& first = add(20);
    changed.priority = 20;
    policy_.priority_changed(cpu_, changed, 10, true);
    EXPECT_EQ(policy_.pick_next(cpu_), &first);
    EXPECT_EQ(policy_.pick_next(cpu_), &changed);
}

TEST_F(RoundRobinTest, WhoMovesToAnotherCpuTakesAlongHowLongItWaited) {
    init("10", "32", "200");
    SchedulerThread& moved = add(1);
    add(20);
    pick();
    for (int i = 0; i < 150; ++i) ASSERT_FALSE(tick(1));
    policy_.dequeue(cpu_, moved, DequeueReason::Migrated);
    SchedulerCpu other{};
    other.id = 1;
    SchedulerThread busy{};
    busy.id = ThreadId(99);
    busy.priority = 20;
    policy_.enqueue(other, busy, EnqueueReason::Created);
    other.current = policy_.pick_next(other);
    policy_.tick(other, now_ns_);
    policy_.tick(other, now_ns_ + 90 * kMs);
    policy_.tick(other, now_ns_ + 180 * kMs);
    policy_.enqueue(other, moved, EnqueueReason::Migrated);
    EXPECT_TRUE(policy_.self_check(other, moved));
    int waited_ms = 0;
    for (uint64_t now = now_ns_ + 181 * kMs; other.current == &busy; now += kMs, ++waited_ms) {
        ASSERT_LE(waited_ms, 100) << "it has waited for 150 of 200 ms already";
        busy.runtime_ns += kMs;
        if (policy_.tick(other, now) == TickDecision::Preempt)
            other.current = policy_.yield(other, busy, EnqueueReason::Preempted);
    }
    EXPECT_GE(waited_ms, 45);
}

TEST_F(RoundRobinTest, SelfCheckFindsABrokenLink) {
    init("10", "32", "0");
    SchedulerThread& a = add(10);
    SchedulerThread& b = add(10);
    SchedulerThread& c = add(10);
    for (SchedulerThread* thread : {&a, &b, &c}) EXPECT_TRUE(policy_.self_check(cpu_, *thread));
    scheduling::state_of(b).next = &b;
    EXPECT_TRUE(policy_.self_check(cpu_, a));
    EXPECT_FALSE(policy_.self_check(cpu_, b));
    EXPECT_FALSE(policy_.self_check(cpu_, c));
}

TEST_F(RoundRobinTest, SelfCheckFindsAThreadThatIsNotQueued) {
    init("10", "32", "0");
    SchedulerThread& a = add(10);
    add(10);
    ASSERT_EQ(policy_.pick_next(cpu_), &a);
    EXPECT_FALSE(policy_.self_check(cpu_, a));
}

TEST_F(RoundRobinTest, ADisagreementWithTheKernelMakesItUnhealthy) {
    init("10", "32", "0");
    SchedulerThread& a = add(10);
    EXPECT_TRUE(policy_.is_healthy());
    policy_.enqueue(cpu_, a, EnqueueReason::Woken);
    EXPECT_FALSE(policy_.is_healthy());
    EXPECT_TRUE(policy_.self_check(cpu_, a));
}

TEST_F(RoundRobinTest, YieldIsEnqueueAndThenPickNext) {
    // The same threads under two policies, one of which takes the two steps: turn by turn the same one runs.
    for (const char* levels : {"1", "4", "32"}) {
        host_.set("time_slice_ms", "3");
        host_.set("priority_levels", levels);
        host_.set("aging_ms", "20");
        struct World {
            RoundRobinUnderTest policy;
            SchedulerCpu cpu{};
            SchedulerThread threads[8] = {};
        } one, two;
        uint32_t random = 7;
        const auto below = [&](uint32_t limit) {
            return (random = random * 1'664'525 + 1'013'904'223) / 65'536 % limit;
        };
        for (World* world : {&one, &two}) {
            ASSERT_TRUE(world->policy.init(host_.context()).ok());
            for (uint32_t i = 0; i < 8; ++i) {
                SchedulerThread& thread = world->threads[i];
                thread.id = ThreadId(i + 1);
                thread.priority = 14 + i % 4;
                thread.affinity = 1;
                world->policy.enqueue(world->cpu, thread, EnqueueReason::Created);
            }
            world->cpu.current = world->policy.pick_next(world->cpu);
        }
        size_t others = 0;
        for (int step = 0; step < 20'000; ++step) {
            const EnqueueReason reason = below(4) == 0 ? EnqueueReason::Preempted : EnqueueReason::Yielded;
            const bool ticks = below(2) == 0;
            const SchedulerThread* const before = one.cpu.current;
            for (World* world : {&one, &two}) {
                if (ticks) world->policy.tick(world->cpu, static_cast<uint64_t>(step + 1) * kMs);
                world->cpu.current->runtime_ns += kMs / 2;
            }
            one.cpu.current = one.policy.yield(one.cpu, *one.cpu.current, reason);
            two.policy.enqueue(two.cpu, *two.cpu.current, reason);
            two.cpu.current = two.policy.pick_next(two.cpu);
            ASSERT_EQ(one.cpu.current - one.threads, two.cpu.current - two.threads) << levels << ", step " << step;
            others += one.cpu.current != before;
            for (World* world : {&one, &two})
                for (SchedulerThread& thread : world->threads)
                    if (&thread != world->cpu.current) ASSERT_TRUE(world->policy.self_check(world->cpu, thread));
        }
        EXPECT_GT(others, 5'000u);
        EXPECT_TRUE(one.policy.is_healthy());
        const auto counters = [](World& world) {
            const auto response = world.policy.handle_request({InstanceId::None, "statistics", {}});
            return std::string(response.value().payload().text());
        };
        EXPECT_EQ(counters(one), counters(two));
    }
}

TEST_F(RoundRobinTest, CountersPassThroughStateAndTheProfilesTimeSliceWins) {
    init("7", "32", "0");
    add(10);
    add(10);
    policy_.pick_next(cpu_);
    uint8_t buffer[512];
    StateWriter writer(MutableBytes(buffer, sizeof(buffer)), 1);
    ASSERT_TRUE(policy_.save_state(writer).ok());
    auto state = writer.finish();
    ASSERT_TRUE(state.ok());
    auto reader = StateReader::open(state.value());
    ASSERT_TRUE(reader.ok());

    RoundRobinUnderTest next;
    host_.set("time_slice_ms", "12");
    ASSERT_TRUE(next.init(host_.context()).ok());
    ASSERT_TRUE(next.restore_state(reader.value(), Reason::Reload).ok());
    auto response = next.handle_request({InstanceId::None, "statistics", {}});
    ASSERT_TRUE(response.ok());
    EXPECT_EQ(response.value().payload().text(),
              Text("{\"time_slice_ms\":12,\"priority_levels\":32,\"waiting_limit_ms\":0,\"enqueues\":2,\"picks\":1,"
                   "\"preemptions\":0,\"overdue_picks\":0,\"predecessors\":1}"));

    // What one that is to rule again counted before is in the state already.
    auto again = StateReader::open(state.value());
    ASSERT_TRUE(policy_.restore_state(again.value(), Reason::Reload).ok());
    add(10);
    const auto more = policy_.handle_request({InstanceId::None, "statistics", {}});
    EXPECT_EQ(more.value().payload().text(),
              Text("{\"time_slice_ms\":7,\"priority_levels\":32,\"waiting_limit_ms\":0,\"enqueues\":3,\"picks\":1,"
                   "\"preemptions\":0,\"overdue_picks\":0,\"predecessors\":1}"));
}

TEST_F(RoundRobinTest, AStateWithAKeyOfAnotherTypeIsRefusedAndChangesNothing) {
    init("10", "32", "0");
    uint8_t buffer[128];
    StateWriter writer(MutableBytes(buffer, sizeof(buffer)), 1);
    ASSERT_TRUE(writer.put("counters", "many").ok());
    auto reader = StateReader::open(writer.finish().value());
    ASSERT_TRUE(reader.ok());
    EXPECT_FALSE(policy_.restore_state(reader.value(), Reason::Reload).ok());
    auto response = policy_.handle_request({InstanceId::None, "statistics", {}});
    EXPECT_NE(std::string(response.value().payload().text()).find("\"enqueues\":0"), std::string::npos);
}

}  // namespace

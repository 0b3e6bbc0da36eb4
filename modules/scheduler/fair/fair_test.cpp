// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Tests of the fair policy: shares by weight, and the bound of the lag against a fluid model that shares no code with
// it.

#include "fair.hpp"

#include "../../conformance/report.hpp"
#include "../../test/host_services.hpp"
#include "../../test/simulated_cpu.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <vector>

namespace {
using namespace helix;
using test_support::SimulatedCpu;

constexpr uint64_t kMs = 1'000'000;

class Fair final : public scheduling::FairPolicy {};

class FairTest : public ::testing::Test {
protected:
    void SetUp() override {
        host_.declare(Fair::kOptions);
        ASSERT_TRUE(policy_.init(host_.context()).ok());
    }

    test_support::HostServices host_;
    Fair policy_;
};

TEST_F(FairTest, SharesAreThoseOfTheWeights) {
    SimulatedCpu cpu(policy_);
    std::array<SchedulerThread, 4> threads{};
    const uint32_t weights[] = {1024, 2048, 3072, 0};  // the last by its priority, 16 + 3
    double total = 0;
    for (uint32_t i = 0; i < 4; ++i) {
        SimulatedCpu::prepare(threads[i], i + 1, 19);
        threads[i].attributes.weight = weights[i];
        total += weights[i] == 0 ? Fair::weight_of(19) : weights[i];
        cpu.wake(threads[i], EnqueueReason::Created);
    }
    EXPECT_EQ(Fair::weight_of(19), 2000u);
    cpu.pass(10'000);
    for (uint32_t i = 0; i < 4; ++i) {
        const double weight = weights[i] == 0 ? Fair::weight_of(19) : weights[i];
        EXPECT_NEAR(static_cast<double>(threads[i].runtime_ns) / kMs, 10'000 * weight / total, 5) << i;
    }
}

TEST_F(FairTest, WeightsGoUpByAQuarterAStep) {
    EXPECT_EQ(Fair::weight_of(kDefaultPriority), SchedulingAttributes::kUsualWeight);
    for (uint32_t priority = 1; priority < kPriorityLevels; ++priority)
        EXPECT_NEAR(static_cast<double>(Fair::weight_of(priority)) / Fair::weight_of(priority - 1), 1.25, 0.01);
}

TEST_F(FairTest, AShorterRequestIsServedSoonerAndNotMore) {
    SimulatedCpu cpu(policy_);
    std::array<SchedulerThread, 5> threads{};
    for (uint32_t i = 0; i < 5; ++i) SimulatedCpu::prepare(threads[i], i + 1);
    threads[4].attributes.runtime_ns = kMs;
    std::array<uint64_t, 5> last{}, longest{};
    for (SchedulerThread& thread : threads) cpu.wake(thread, EnqueueReason::Created);
    for (uint64_t ms = 1; ms <= 5000; ++ms) {
        cpu.pass(1);
        const auto running = static_cast<size_t>(cpu.current() - threads.data());
        longest[running] = std::max(longest[running], ms - last[running]);
        last[running] = ms;
    }
    EXPECT_LE(longest[4] + 5, longest[0]);
    for (const SchedulerThread& thread : threads) EXPECT_NEAR(static_cast<double>(thread.runtime_ns) / kMs, 1000, 5);
}

TEST_F(FairTest, WhoGivesWayDoesSoAlsoWhenItIsOwedTime) {
    SimulatedCpu cpu(policy_);
    std::array<SchedulerThread, 3> threads{};
    for (uint32_t i = 0; i < 3; ++i) SimulatedCpu::prepare(threads[i], i + 1);
    for (SchedulerThread& thread : threads) cpu.wake(thread, EnqueueReason::Created);
    cpu.run(12 * kMs);  // one runs for longer than it asked for
    cpu.tick();
    for (uint32_t turn = 0; turn < 1000; ++turn) {
        SchedulerThread* const giving_way = cpu.current();
        cpu.run(1'000);
        cpu.yield();
        EXPECT_NE(cpu.current(), giving_way) << turn;
    }
    for (const SchedulerThread& thread : threads) EXPECT_GT(thread.runtime_ns, 300'000u);
}

TEST_F(FairTest, LagIsKeptAcrossSleepAndMigration) {
    SimulatedCpu cpu(policy_), other(policy_, 1);
    std::array<SchedulerThread, 4> threads{};
    for (uint32_t i = 0; i < 4; ++i) SimulatedCpu::prepare(threads[i], i + 1);
    cpu.wake(threads[0], EnqueueReason::Created);
    cpu.wake(threads[1], EnqueueReason::Created);
    other.wake(threads[2], EnqueueReason::Created);
    cpu.run(3 * kMs);  // the first has used 3 ms more than the second: it is 1.5 ms beyond the mean
    SchedulerThread& first = cpu.block();
    const int64_t lag_ns = scheduling::fair(first).lag_ns;
    EXPECT_EQ(lag_ns, -1'500'000);
    // Alone with the second it has that lag again.
    cpu.pass(20);
    cpu.wake(first, EnqueueReason::Woken);
    const auto lag_in = [](SimulatedCpu& where, SchedulerThread& thread) {
        return where.view().policy<scheduling::FairQueue>().virtual_time() - scheduling::fair(thread).virtual_ns;
    };
    EXPECT_NEAR(static_cast<double>(lag_in(cpu, first)), static_cast<double>(lag_ns), 10);
    // And on another CPU, where it goes while it waits.
    ASSERT_NE(cpu.current(), &first);
    policy_.dequeue(cpu.view(), first, DequeueReason::Migrated);
    other.wake(first, EnqueueReason::Migrated);
    EXPECT_NEAR(static_cast<double>(lag_in(other, first)), static_cast<double>(lag_ns), 10);
}

TEST_F(FairTest, WhoIsCreatedOrShownInASnapshotIsOwedNothingAndOwesNothing) {
    // Whatever its area has from the last time that this policy saw such a thread.
    for (const EnqueueReason reason : {EnqueueReason::Created, EnqueueReason::Snapshot, EnqueueReason::Woken}) {
        for (const int64_t kept_ns : {int64_t{-3'000'000}, int64_t{3'000'000}}) {
            SimulatedCpu cpu(policy_);
            SchedulerThread here{}, comes{};
            cpu.wake(SimulatedCpu::prepare(here, 1), EnqueueReason::Created);
            cpu.run(kMs / 2);
            SimulatedCpu::prepare(comes, 2);
            comes.runtime_ns = 60'000 * kMs;  // of its life before; it is not charged for that
            scheduling::fair(comes).lag_ns = kept_ns;
            policy_.enqueue(cpu.view(), comes, reason);
            const auto lag_ns = [&](const SchedulerThread& thread) {
                return static_cast<double>(cpu.view().policy<scheduling::FairQueue>().virtual_time() -
                                           scheduling::fair(thread).virtual_ns);
            };
            const double wanted = reason == EnqueueReason::Woken ? static_cast<double>(kept_ns) : 0;
            EXPECT_NEAR(lag_ns(comes), wanted, 10) << static_cast<int>(reason) << ", " << kept_ns;
            EXPECT_NEAR(lag_ns(here), -wanted, 10) << "the lags of all are zero in sum";
            cpu.pass(1000);
            EXPECT_NEAR(static_cast<double>(comes.runtime_ns - 60'000 * kMs) / kMs, 500, 10);
        }
    }
}

TEST_F(FairTest, WhoRunsWhenThePolicyIsPluggedInJoinsAtTheFirstTickWithoutLag) {
    SimulatedCpu cpu(policy_);
    SchedulerThread runs{}, waits{};
    SimulatedCpu::prepare(runs, 1).runtime_ns = 60'000 * kMs;
    policy_.enqueue(cpu.view(), SimulatedCpu::prepare(waits, 2), EnqueueReason::Snapshot);
    scheduling::fair(runs).lag_ns = 7'000'000;
    cpu.view().current = &runs;
    cpu.run(kMs);
    policy_.tick(cpu.view(), cpu.now_ns());
    ASSERT_EQ(scheduling::fair(runs).competes, 1u);
    const auto& queue = cpu.view().policy<scheduling::FairQueue>();
    EXPECT_NEAR(static_cast<double>(queue.virtual_time() - scheduling::fair(runs).virtual_ns), 0, 10);
    EXPECT_NEAR(static_cast<double>(queue.virtual_time() - scheduling::fair(waits).virtual_ns), 0, 10);
}

TEST_F(FairTest, WhatIsOwedForTimeUnderAnotherPolicyIsBounded) {
    // Mirrored under a policy that lets one thread alone run for a minute: the other does not run for a minute then.
    SimulatedCpu cpu(policy_);
    SchedulerThread hog{}, starved{};
    SimulatedCpu::prepare(hog, 1);
    SimulatedCpu::prepare(starved, 2);
    policy_.enqueue(cpu.view(), hog, EnqueueReason::Snapshot);
    policy_.enqueue(cpu.view(), starved, EnqueueReason::Snapshot);
    policy_.dequeue(cpu.view(), hog, DequeueReason::Picked);
    cpu.view().current = &hog;
    for (int i = 0; i < 60'000; ++i) {
        cpu.run(kMs);
        policy_.tick(cpu.view(), cpu.now_ns());
    }
    cpu.preempt();
    uint64_t alone_ms = 0;
    for (; cpu.current() == &starved && alone_ms < 10'000; ++alone_ms) cpu.pass(1);
    EXPECT_LE(alone_ms, 40u);
    EXPECT_GE(alone_ms, 10u);
}

/// Ideal sharing, in floating point, by the rules of the paper: virtual time passes at one through the sum of weights;
/// who leaves or joins with a lag moves it.
class Fluid {
public:
    struct Client {
        double weight;
        double used = 0;  // since it joined, as virtual time from `origin`
        double origin = 0;
    };
    void pass(double ns) {
        if (!clients_.empty()) time_ += ns / total();
    }
    void serve(uint32_t id, double ns) { clients_.at(id).used += ns; }
    double lag(uint32_t id) const {
        const Client& client = clients_.at(id);
        return client.weight * (time_ - client.origin) - client.used;
    }
    void join(uint32_t id, double weight) {
        const double lag = clients_.empty() ? 0 : kept_[id];
        if (!clients_.empty()) time_ -= lag / total();  // the lags of all are zero in sum again
        clients_[id] = {weight, 0, time_ - lag / weight};
    }
    /// It keeps its lag, up to `limit`.
    void leave(uint32_t id, double limit) {
        const double true_lag = lag(id);
        kept_[id] = std::clamp(true_lag, -limit, limit);
        clients_.erase(id);
        if (!clients_.empty()) time_ += true_lag / total();
    }
    /// It gives way, and what it is owed is forgotten.
    void forgo(uint32_t id) {
        if (clients_.size() == 1 || lag(id) <= 0) return;
        const double weight = clients_.at(id).weight;
        leave(id, 0);
        join(id, weight);
    }
    const std::map<uint32_t, Client>& clients() const { return clients_; }

private:
    double total() const {
        double sum = 0;
        for (const auto& [id, client] : clients_) sum += client.weight;
        return sum;
    }
    double time_ = 0;
    std::map<uint32_t, Client> clients_;
    std::map<uint32_t, double> kept_;
};

TEST_F(FairTest, LagIsBoundedUnderRandomArrivals) {
    constexpr uint32_t kThreads = 20;
    double worst = 0;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        conformance::Random random(seed);
        SimulatedCpu cpu(policy_);
        Fluid fluid;
        std::vector<SchedulerThread> threads(kThreads);
        double longest_request = 4e6;
        for (uint32_t i = 0; i < kThreads; ++i) {
            SimulatedCpu::prepare(threads[i], i + 1);
            threads[i].attributes.weight = 64 + random.below(4000);
            if (random.below(2) == 0) threads[i].attributes.runtime_ns = kMs * (1 + random.below(8));
            longest_request = std::max(longest_request, static_cast<double>(threads[i].attributes.runtime_ns));
        }
        std::vector<bool> awake(kThreads);
        // Who is served beyond its request is so by less than a tick.
        const double bound = longest_request + kMs;
        for (int step = 0; step < 20'000; ++step) {
            const auto check = [&] {
                for (const auto& [id, client] : fluid.clients()) {
                    const double lag = fluid.lag(id);
                    worst = std::max(worst, std::abs(lag) / bound);
                    ASSERT_LE(std::abs(lag), bound) << "thread " << id << ", seed " << seed << ", step " << step;
                }
            };
            const uint32_t i = random.below(kThreads);
            if (random.below(3) == 0 && !awake[i]) {
                fluid.join(i, threads[i].attributes.weight);
                awake[i] = true;
                cpu.wake(threads[i], EnqueueReason::Woken);
            }
            if (cpu.current() == nullptr) continue;
            // A part of a tick, at its end perhaps a tick, then perhaps the thread blocks or yields.
            const uint64_t ns = random.below(3) == 0 ? 1 + random.below(kMs) : kMs;
            const auto running = static_cast<uint32_t>(cpu.current() - threads.data());
            fluid.pass(static_cast<double>(ns));
            fluid.serve(running, static_cast<double>(ns));
            cpu.run(ns);
            check();
            if (HasFatalFailure()) return;
            const uint32_t what = random.below(10);
            if (what == 0) {
                cpu.block();
                const uint64_t request = threads[running].attributes.runtime_ns;
                fluid.leave(running, 1e6 + 2.0 * static_cast<double>(request == 0 ? 4 * kMs : request));
                awake[running] = false;
            } else if (what == 1) {
                cpu.yield();
                fluid.forgo(running);
            } else {
                cpu.tick();
            }
        }
    }
    RecordProperty("worst_of_bound_percent", static_cast<int>(worst * 100));
    EXPECT_GE(worst, 0.3) << "the bound says something";
}

TEST_F(FairTest, AHundredEqualsDeviateByOneSliceAtMost) {
    SimulatedCpu cpu(policy_);
    std::vector<SchedulerThread> threads(100);
    for (uint32_t i = 0; i < 100; ++i) cpu.wake(SimulatedCpu::prepare(threads[i], i + 1), EnqueueReason::Created);
    for (uint64_t ms = 1; ms <= 1000; ++ms) {
        cpu.pass(1);
        for (const SchedulerThread& thread : threads)
            ASSERT_LE(std::abs(static_cast<double>(thread.runtime_ns) / kMs - static_cast<double>(ms) / 100), 4.0);
    }
}

TEST_F(FairTest, AWeightThatChangesCountsFromThenOn) {
    SimulatedCpu cpu(policy_);
    SchedulerThread a{}, b{};
    cpu.wake(SimulatedCpu::prepare(a, 1), EnqueueReason::Created);
    cpu.wake(SimulatedCpu::prepare(b, 2), EnqueueReason::Created);
    cpu.pass(1000);
    SchedulingAttributes wanted;
    wanted.weight = 3 * SchedulingAttributes::kUsualWeight;
    for (SchedulerThread* thread : {&a, &b})
        if (thread != cpu.current()) ASSERT_TRUE(cpu.set_attributes(*thread, wanted, true));
    SchedulerThread& heavy = a.attributes.weight != 0 ? a : b;
    const uint64_t before = heavy.runtime_ns;
    cpu.pass(1000);
    EXPECT_NEAR(static_cast<double>(heavy.runtime_ns - before) / kMs, 750, 10);
    // A priority that is inherited counts as well, where no weight was asked for.
    SchedulerThread& light = &heavy == &a ? b : a;
    const uint64_t light_before = light.runtime_ns;
    light.priority = 31;
    policy_.priority_changed(cpu.view(), light, 16, cpu.current() != &light);
    cpu.pass(1000);
    EXPECT_NEAR(static_cast<double>(light.runtime_ns - light_before) / kMs, 1000.0 * 29104 / (29104 + 3072), 20);
}

TEST_F(FairTest, AWeightThatChangesKeepsTheLagInCpuTime) {
    SimulatedCpu cpu(policy_);
    SchedulerThread a{}, b{};
    cpu.wake(SimulatedCpu::prepare(a, 1), EnqueueReason::Created);
    cpu.wake(SimulatedCpu::prepare(b, 2), EnqueueReason::Created);
    cpu.run(3 * kMs);  // the second is owed 1.5 ms
    SchedulingAttributes wanted;
    wanted.weight = 4 * SchedulingAttributes::kUsualWeight;
    ASSERT_EQ(cpu.current(), &a);
    ASSERT_TRUE(cpu.set_attributes(b, wanted, true));
    const int64_t lag_ns = cpu.view().policy<scheduling::FairQueue>().virtual_time() - scheduling::fair(b).virtual_ns;
    EXPECT_NEAR(static_cast<double>(lag_ns) * 4, 1.5e6, 10);
}

TEST_F(FairTest, WhoWakesPreemptsOnlyIfItIsOwedTime) {
    SimulatedCpu cpu(policy_);
    SchedulerThread a{}, b{};
    SimulatedCpu::prepare(a, 1);
    a.attributes.runtime_ns = kMs;  // its deadlines are the earlier ones
    cpu.wake(a, EnqueueReason::Created);
    cpu.wake(SimulatedCpu::prepare(b, 2), EnqueueReason::Created);
    cpu.run(kMs / 2);
    cpu.block();
    ASSERT_EQ(cpu.current(), &b);
    policy_.enqueue(cpu.view(), a, EnqueueReason::Woken);
    EXPECT_FALSE(policy_.should_preempt(cpu.view(), a)) << "it is ahead";
    cpu.run(kMs / 2);
    cpu.tick();
    policy_.dequeue(cpu.view(), a, DequeueReason::Migrated);
    policy_.enqueue(cpu.view(), a, EnqueueReason::Migrated);
    EXPECT_TRUE(policy_.should_preempt(cpu.view(), a)) << "it is no more";
}

TEST_F(FairTest, WhoComesBetweenTwoTicksHasNoPartInTheTimeBefore) {
    SimulatedCpu cpu(policy_);
    SchedulerThread a{}, b{}, c{};
    cpu.wake(SimulatedCpu::prepare(a, 1), EnqueueReason::Created);
    cpu.wake(SimulatedCpu::prepare(b, 2), EnqueueReason::Created);
    cpu.run(kMs / 2);
    cpu.wake(SimulatedCpu::prepare(c, 3), EnqueueReason::Created);
    const auto& queue = cpu.view().policy<scheduling::FairQueue>();
    EXPECT_NEAR(static_cast<double>(queue.virtual_time() - scheduling::fair(c).virtual_ns), 0, 10);
    EXPECT_NEAR(static_cast<double>(queue.virtual_time() - scheduling::fair(b).virtual_ns), 0.25e6, 10);
}

TEST_F(FairTest, WhatIsOwedToWhoLeavesIsBounded) {
    SimulatedCpu cpu(policy_);
    SchedulerThread owed{}, hogs[4]{};
    policy_.enqueue(cpu.view(), SimulatedCpu::prepare(owed, 1), EnqueueReason::Snapshot);
    for (uint32_t i = 0; i < 4; ++i)
        policy_.enqueue(cpu.view(), SimulatedCpu::prepare(hogs[i], i + 2), EnqueueReason::Snapshot);
    for (SchedulerThread& hog : hogs) {  // mirrored, under a policy that has these run and not the other
        policy_.dequeue(cpu.view(), hog, DequeueReason::Picked);
        cpu.view().current = &hog;
        for (int i = 0; i < 100; ++i) {
            cpu.run(kMs);
            policy_.tick(cpu.view(), cpu.now_ns());
        }
        policy_.enqueue(cpu.view(), hog, EnqueueReason::Preempted);
    }
    cpu.view().current = nullptr;
    policy_.dequeue(cpu.view(), owed, DequeueReason::Migrated);
    EXPECT_EQ(scheduling::fair(owed).lag_ns, static_cast<int64_t>(9 * kMs)) << "two slices and a millisecond";
}

TEST_F(FairTest, ATurnThatIsAskedForIsASecondAtMost) {
    SimulatedCpu cpu(policy_);
    SchedulerThread a{}, b{};
    SimulatedCpu::prepare(a, 1);
    a.attributes.runtime_ns = SchedulingAttributes::kMaximumPeriodNs;
    cpu.wake(a, EnqueueReason::Created);
    cpu.wake(SimulatedCpu::prepare(b, 2), EnqueueReason::Created);
    if (cpu.current() == &b) cpu.pass(10);
    ASSERT_EQ(cpu.current(), &a);
    cpu.pass(2200);
    EXPECT_GE(b.runtime_ns, 900 * kMs);
    EXPECT_GE(a.runtime_ns, 900 * kMs);
}

TEST_F(FairTest, SelfCheckFindsWrongValues) {
    SimulatedCpu cpu(policy_);
    std::vector<SchedulerThread> threads(10);
    for (uint32_t i = 0; i < 10; ++i)
        policy_.enqueue(cpu.view(), SimulatedCpu::prepare(threads[i], i + 1), EnqueueReason::Created);
    for (const SchedulerThread& thread : threads) EXPECT_TRUE(policy_.self_check(cpu.view(), thread));
    scheduling::fair(threads[3]).earliest_ns -= 1;
    EXPECT_FALSE(policy_.self_check(cpu.view(), threads[3]));
    scheduling::fair(threads[4]).node.parent = &threads[4];
    EXPECT_FALSE(policy_.self_check(cpu.view(), threads[4]));
    scheduling::fair(threads[5]).queued = 0;
    EXPECT_FALSE(policy_.self_check(cpu.view(), threads[5]));
}

TEST_F(FairTest, ADumpNamesWhoWaits) {
    SimulatedCpu cpu(policy_);
    std::vector<SchedulerThread> threads(3);
    for (uint32_t i = 0; i < 3; ++i)
        policy_.enqueue(cpu.view(), SimulatedCpu::prepare(threads[i], 41 + i), EnqueueReason::Created);
    char text[400];
    const size_t size = policy_.dump(cpu.view(), Span<char>(text));
    const std::string dump(text, size);
    EXPECT_NE(dump.find("3 queued, weight 3072"), std::string::npos) << dump;
    EXPECT_NE(dump.find("42: weight 1024, lag 0 us, deadline 4000 us"), std::string::npos) << dump;
    EXPECT_LE(policy_.dump(cpu.view(), Span<char>(text, 10)), 10u);
}

}  // namespace

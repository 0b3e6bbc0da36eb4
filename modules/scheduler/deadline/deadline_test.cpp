// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Tests of the deadline policy: admitted sets meet their deadlines, whoever overruns does so at its own cost.

#include "deadline.hpp"

#include "../../conformance/report.hpp"
#include "../../test/host_services.hpp"
#include "../../test/simulated_cpu.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace {
using namespace helix;
using test_support::SimulatedCpu;

constexpr uint64_t kMs = 1'000'000;

class Deadline final : public scheduling::DeadlinePolicy {};

SchedulingAttributes reservation(uint64_t runtime_ms, uint64_t period_ms, uint64_t deadline_ms = 0) {
    SchedulingAttributes wanted;
    wanted.runtime_ns = runtime_ms * kMs;
    wanted.period_ns = period_ms * kMs;
    wanted.deadline_ns = deadline_ms * kMs;
    return wanted;
}

class DeadlineTest : public ::testing::Test {
protected:
    void SetUp() override {
        host_.declare(Deadline::kOptions);
        ASSERT_TRUE(policy_.init(host_.context()).ok());
    }

    test_support::HostServices host_;
    Deadline policy_;
};

TEST_F(DeadlineTest, AReservationIsGrantedWhileThereIsRoom) {
    SimulatedCpu cpu(policy_);
    SchedulerThread threads[4];
    for (uint32_t i = 0; i < 4; ++i) SimulatedCpu::prepare(threads[i], i + 1);
    EXPECT_TRUE(cpu.set_attributes(threads[0], reservation(5, 10), false));
    EXPECT_TRUE(cpu.set_attributes(threads[1], reservation(1, 10, 4), false)) << "a quarter, by its deadline";
    EXPECT_FALSE(cpu.set_attributes(threads[2], reservation(2, 10), false));
    EXPECT_EQ(policy_.reserved(0), 750'000u);
    EXPECT_TRUE(cpu.set_attributes(threads[2], reservation(3, 20), false)) << "0.9 is the limit";
    EXPECT_FALSE(cpu.set_attributes(threads[0], reservation(6, 10), false)) << "and one that has some gets no more";
    EXPECT_EQ(policy_.reserved(0), 900'000u);
    EXPECT_TRUE(cpu.set_attributes(threads[0], reservation(2, 10), false));
    EXPECT_TRUE(cpu.set_attributes(threads[0], reservation(5, 10), false));
    EXPECT_TRUE(cpu.set_attributes(threads[0], {}, false));
    EXPECT_EQ(policy_.reserved(0), 400'000u);
    // Whoever ends gives back what it had.
    cpu.wake(threads[1], EnqueueReason::Created);
    ASSERT_EQ(cpu.current(), &threads[1]);
    cpu.block(BlockReason::Ended);
    EXPECT_EQ(policy_.reserved(0), 150'000u);
}

TEST_F(DeadlineTest, TheOtherCpusAreTriedWhereThereIsNoRoom) {
    SimulatedCpu first(policy_);
    SchedulerCpu second{};
    second.id = 1;
    policy_.cpu_changed(second, true);
    SchedulerThread threads[3];
    for (uint32_t i = 0; i < 3; ++i) SimulatedCpu::prepare(threads[i], i + 1);
    EXPECT_TRUE(first.set_attributes(threads[0], reservation(6, 10), false));
    EXPECT_TRUE(first.set_attributes(threads[1], reservation(6, 10), false));
    EXPECT_FALSE(first.set_attributes(threads[2], reservation(6, 10), false));
    EXPECT_EQ(policy_.select_cpu(threads[0], 0), 0u);
    EXPECT_EQ(policy_.select_cpu(threads[1], 0), 1u);
    EXPECT_FALSE(policy_.may_move(threads[1], 0));
    EXPECT_TRUE(policy_.may_move(threads[2], 1));
    // Away from home it is one of those behind.
    first.wake(threads[2], EnqueueReason::Created);
    first.wake(threads[1], EnqueueReason::Woken);
    EXPECT_EQ(first.current(), &threads[2]);
    first.wake(threads[0], EnqueueReason::Woken);
    EXPECT_EQ(first.current(), &threads[0]);
    // When its home goes offline it looks for another, and is one of those behind until it finds one.
    policy_.cpu_changed(second, false);
    policy_.dequeue(first.view(), threads[1], DequeueReason::Migrated);
    first.wake(threads[1], EnqueueReason::Migrated);
    EXPECT_EQ(policy_.reserved(1), 0u);
    EXPECT_EQ(first.current(), &threads[0]);
    first.block(BlockReason::Ended);
    while (first.current() != &threads[1]) first.yield();
    first.block();
    first.wake(threads[1], EnqueueReason::Woken);
    EXPECT_EQ(first.current(), &threads[1]);
    EXPECT_EQ(policy_.reserved(0), 600'000u);
}

/// Where reservations leave a millisecond of each ten, whoever is behind is preempted at each of its ticks.
TEST_F(DeadlineTest, ThoseBehindTakeTurnsHoweverLittleIsLeft) {
    SimulatedCpu cpu(policy_);
    SchedulerThread served[2], behind[3];
    for (uint32_t i = 0; i < 2; ++i) {
        ASSERT_TRUE(
            cpu.set_attributes(SimulatedCpu::prepare(served[i], i + 1), reservation(i == 0 ? 6 : 3, 10), false));
        cpu.wake(served[i], EnqueueReason::Created);
    }
    for (uint32_t i = 0; i < 3; ++i) cpu.wake(SimulatedCpu::prepare(behind[i], i + 3), EnqueueReason::Created);
    cpu.pass(3000);
    for (const SchedulerThread& thread : behind) {
        EXPECT_GE(thread.runtime_ns, 80 * kMs) << static_cast<uint32_t>(thread.id);
        EXPECT_LE(thread.runtime_ns, 120 * kMs) << static_cast<uint32_t>(thread.id);
    }
}

TEST_F(DeadlineTest, WhoMayNotBeAtHomeReservesElsewhereOrIsRefused) {
    SimulatedCpu first(policy_);
    SchedulerCpu second{};
    second.id = 1;
    policy_.cpu_changed(second, true);
    SchedulerThread bound, other;
    SimulatedCpu::prepare(bound, 1);
    SimulatedCpu::prepare(other, 2).affinity = 0b10;
    ASSERT_TRUE(first.set_attributes(bound, reservation(6, 10), false));
    ASSERT_TRUE(first.set_attributes(other, reservation(6, 10), false));
    EXPECT_EQ(policy_.select_cpu(other, 0), 1u);
    // The same again is not what it has already, where it may not be.
    bound.affinity = 0b10;
    EXPECT_FALSE(first.set_attributes(bound, reservation(6, 10), false));
    EXPECT_TRUE(first.set_attributes(bound, reservation(2, 10), false));
    EXPECT_EQ(policy_.select_cpu(bound, 0), 1u);
    EXPECT_EQ(policy_.reserved(1), 800'000u);
    // Where its affinity alone changed, it looks for another home when it waits for its turn.
    bound.affinity = 0b01;
    first.wake(bound, EnqueueReason::Woken);
    EXPECT_EQ(policy_.select_cpu(bound, 1), 0u);
    EXPECT_EQ(policy_.reserved(1), 600'000u);
}

/// Jobs of one thread: released every period, each needs up to the runtime.
struct Task {
    SchedulerThread thread;
    uint64_t runtime_ms, period_ms, deadline_ms;
    uint64_t next_release_ms;
    uint64_t left_ms = 0;
    uint64_t due_ms = 0;
    bool awake = false;
};

TEST_F(DeadlineTest, AnAdmittedSetMeetsAllItsDeadlines) {
    const uint64_t periods[] = {5, 8, 10, 20, 25, 40, 50, 100};
    uint64_t jobs = 0;
    double highest = 0;
    for (uint64_t seed = 1; seed <= 60; ++seed) {
        conformance::Random random(seed);
        SimulatedCpu cpu(policy_);
        std::vector<std::unique_ptr<Task>> tasks;
        for (int attempt = 0; attempt < 40; ++attempt) {
            auto task = std::make_unique<Task>();
            task->period_ms = periods[random.below(8)];
            task->deadline_ms =
                random.below(3) == 0 ? 1 + random.below(static_cast<uint32_t>(task->period_ms)) : task->period_ms;
            task->runtime_ms = 1 + random.below(static_cast<uint32_t>(std::max<uint64_t>(task->deadline_ms / 3, 1)));
            task->next_release_ms = random.below(100);
            SimulatedCpu::prepare(task->thread, static_cast<uint32_t>(attempt + 1));
            if (cpu.set_attributes(task->thread, reservation(task->runtime_ms, task->period_ms, task->deadline_ms),
                                   false))
                tasks.push_back(std::move(task));
        }
        ASSERT_GE(tasks.size(), 2u);
        highest = std::max(highest, policy_.reserved(0) / 1e6);
        // Two that reserve nothing and never block, and one that reserves a little and wants everything, if it fits.
        SchedulerThread background[3];
        for (uint32_t i = 0; i < 3; ++i) SimulatedCpu::prepare(background[i], 100 + i);
        const bool greedy = cpu.set_attributes(background[2], reservation(1, 100), false);
        for (SchedulerThread& thread : background) cpu.wake(thread, EnqueueReason::Created);
        for (uint64_t ms = 0; ms < 2000; ++ms) {
            for (auto& task : tasks) {
                if (ms != task->next_release_ms) continue;
                ASSERT_FALSE(task->awake);
                task->left_ms =
                    random.below(4) == 0 ? 1 + random.below(static_cast<uint32_t>(task->runtime_ms)) : task->runtime_ms;
                task->due_ms = ms + task->deadline_ms;
                task->next_release_ms = ms + task->period_ms + (random.below(8) == 0 ? random.below(10) : 0);
                task->awake = true;
                ++jobs;
                cpu.wake(task->thread, EnqueueReason::Woken);
            }
            ASSERT_NE(cpu.current(), nullptr);
            cpu.run(kMs);
            for (auto& task : tasks) {
                if (&task->thread != cpu.current() || --task->left_ms > 0) continue;
                ASSERT_LE(ms + 1, task->due_ms) << "seed " << seed << ", period " << task->period_ms;
                task->awake = false;
                cpu.block();
                break;
            }
            cpu.tick();
            for (const auto& task : tasks) ASSERT_FALSE(task->awake && ms + 1 > task->due_ms) << "seed " << seed;
        }
        EXPECT_GT(background[0].runtime_ns + background[1].runtime_ns, 50 * kMs) << "and the others run behind";
        if (greedy) EXPECT_GE(background[2].runtime_ns, 19 * kMs);
    }
    EXPECT_GT(jobs, 10'000u);
    EXPECT_GT(highest, 0.85) << "sets that are nearly full are among them";
}

TEST_F(DeadlineTest, WhoOverrunsGetsItsShareAndNoMore) {
    SimulatedCpu cpu(policy_);
    SchedulerThread greedy{}, other{};
    SimulatedCpu::prepare(greedy, 1);
    SimulatedCpu::prepare(other, 2);
    ASSERT_TRUE(cpu.set_attributes(greedy, reservation(3, 10), false));
    cpu.wake(other, EnqueueReason::Created);
    cpu.wake(greedy, EnqueueReason::Created);
    cpu.pass(1005);
    EXPECT_NEAR(static_cast<double>(greedy.runtime_ns) / kMs, 303, 1);
    // Alone it may have all the rest.
    ASSERT_EQ(cpu.current(), &other);
    const uint64_t before = greedy.runtime_ns;
    cpu.block();
    cpu.pass(100);
    EXPECT_EQ(greedy.runtime_ns - before, 100 * kMs);
}

TEST_F(DeadlineTest, WhatIsUsedBeyondABudgetIsTakenFromTheNext) {
    SimulatedCpu cpu(policy_);
    SchedulerThread greedy{}, other{};
    SimulatedCpu::prepare(greedy, 1);
    SimulatedCpu::prepare(other, 2);
    SchedulingAttributes wanted = reservation(3, 10);
    wanted.runtime_ns = 2'500'000;  // its end is seen half a millisecond late
    ASSERT_TRUE(cpu.set_attributes(greedy, wanted, false));
    cpu.wake(other, EnqueueReason::Created);
    cpu.wake(greedy, EnqueueReason::Created);
    cpu.pass(1005);
    EXPECT_NEAR(static_cast<double>(greedy.runtime_ns) / kMs, 253, 3);
}

TEST_F(DeadlineTest, PeriodsFollowEachOtherThoughTicksComeLate) {
    SimulatedCpu cpu(policy_);
    SchedulerThread greedy{}, other{};
    SimulatedCpu::prepare(greedy, 1);
    SimulatedCpu::prepare(other, 2);
    SchedulingAttributes wanted = reservation(3, 10);
    wanted.period_ns = 10'500'000;  // every second one ends between two ticks
    ASSERT_TRUE(cpu.set_attributes(greedy, wanted, false));
    cpu.wake(other, EnqueueReason::Created);
    cpu.wake(greedy, EnqueueReason::Created);
    cpu.pass(2100);
    EXPECT_NEAR(static_cast<double>(greedy.runtime_ns) / kMs, 600, 4);
}

/// Jobs of 60 ms, one every 100 ms, of a thread that reserved that, beside one that reserved 2 of 8 ms and wants all:
/// how many were late. `ask` is called each millisecond in which the greedy one runs.
template <typename Ask>
int late_jobs(SimulatedCpu& cpu, SchedulerThread& greedy, SchedulerThread& worker, Ask ask) {
    EXPECT_TRUE(cpu.set_attributes(greedy, reservation(2, 8), false));
    EXPECT_TRUE(cpu.set_attributes(worker, reservation(60, 100), false));
    cpu.wake(greedy, EnqueueReason::Created);
    int late = 0;
    for (uint32_t job = 0; job < 40; ++job) {
        cpu.wake(worker, EnqueueReason::Woken);
        uint64_t left_ms = 60;
        for (uint64_t ms = 0; ms < 100 || left_ms != 0; ++ms) {
            if (cpu.current() == &greedy) ask();
            const bool works = cpu.current() == &worker;
            cpu.run(kMs);
            if (works && --left_ms == 0) {
                late += ms >= 100;
                cpu.block();
            }
            if (cpu.current() != nullptr) cpu.tick();
        }
    }
    return late;
}

TEST_F(DeadlineTest, AskingAgainGivesNoMore) {
    SimulatedCpu cpu(policy_);
    SchedulerThread greedy{}, worker{};
    SimulatedCpu::prepare(greedy, 1);
    SimulatedCpu::prepare(worker, 2);
    EXPECT_EQ(
        late_jobs(cpu, greedy, worker, [&] { EXPECT_TRUE(cpu.set_attributes(greedy, reservation(2, 8), false)); }), 0);
}

TEST_F(DeadlineTest, AskingForOthersGivesNoMore) {
    // Other periods, other budgets, none and then one again, and while it waits.
    for (uint64_t seed = 1; seed <= 8; ++seed) {
        SetUp();
        SimulatedCpu cpu(policy_);
        SchedulerThread greedy{}, worker{};
        SimulatedCpu::prepare(greedy, 1);
        SimulatedCpu::prepare(worker, 2);
        conformance::Random random(seed);
        EXPECT_EQ(late_jobs(cpu, greedy, worker,
                            [&] {
                                const uint64_t periods[] = {8, 12, 16, 24};
                                const uint64_t period_ms = periods[random.below(4)];
                                if (random.below(4) == 0) cpu.set_attributes(greedy, {}, false);
                                cpu.set_attributes(greedy, reservation(period_ms / 4, period_ms), false);
                            }),
                  0)
            << "seed " << seed;
        EXPECT_LE(policy_.reserved(0), 900'000u);
    }
}

TEST_F(DeadlineTest, WhoAsksForTheSameGoesOnWithItsBudget) {
    SimulatedCpu cpu(policy_);
    SchedulerThread greedy{}, other{};
    SimulatedCpu::prepare(greedy, 1);
    SimulatedCpu::prepare(other, 2);
    ASSERT_TRUE(cpu.set_attributes(greedy, reservation(3, 10), false));
    cpu.wake(greedy, EnqueueReason::Created);
    cpu.wake(other, EnqueueReason::Created);
    for (int ms = 0; ms < 1000; ++ms) {
        ASSERT_TRUE(cpu.set_attributes(greedy, reservation(3, 10), cpu.current() != &greedy));
        cpu.pass(1);
    }
    EXPECT_NEAR(static_cast<double>(greedy.runtime_ns) / kMs, 300, 3);
    // With a larger one it waits until what it used is paid for, and then has all of that.
    ASSERT_TRUE(cpu.set_attributes(greedy, reservation(6, 10), cpu.current() != &greedy));
    const uint64_t before = greedy.runtime_ns;
    cpu.pass(1000);
    EXPECT_NEAR(static_cast<double>(greedy.runtime_ns - before) / kMs, 600, 7);
}

TEST_F(DeadlineTest, WhatIsGivenBackIsFreeWhenWhatWasUsedIsPaidFor) {
    for (const bool ends : {true, false}) {
        SetUp();
        SimulatedCpu cpu(policy_);
        SchedulerThread first{}, worker{}, next{}, small{};
        SimulatedCpu::prepare(first, 1);
        SimulatedCpu::prepare(worker, 2);
        SimulatedCpu::prepare(next, 3);
        SimulatedCpu::prepare(small, 4);
        ASSERT_TRUE(cpu.set_attributes(first, reservation(45, 90), false));
        ASSERT_TRUE(cpu.set_attributes(worker, reservation(40, 100), false));
        cpu.wake(first, EnqueueReason::Created);
        cpu.wake(worker, EnqueueReason::Created);
        cpu.pass(27);
        ASSERT_EQ(cpu.current(), &first);
        if (ends)
            cpu.block(BlockReason::Ended);
        else
            ASSERT_TRUE(cpu.set_attributes(first, reservation(10, 100), false));
        // 27 of 45 ms in 90 are paid for after 54.
        const uint32_t wanted_ms = ends ? 5 : 4;
        for (int ms = 27; ms < 54; ++ms) {
            EXPECT_FALSE(cpu.set_attributes(next, reservation(wanted_ms, 10), false)) << ms;
            EXPECT_EQ(policy_.reserved(0), 900'000u);
            cpu.pass(1);
        }
        cpu.pass(1);
        EXPECT_EQ(policy_.reserved(0), ends ? 400'000u : 500'000u) << "at a tick";
        EXPECT_TRUE(cpu.set_attributes(next, reservation(wanted_ms, 10), false));
    }
}

TEST_F(DeadlineTest, NobodyIsLateThoughOthersEndAndBegin) {
    // Those of `first` use all their budget at once and end; whoever reserves what they had may not do the same at
    // once.
    SimulatedCpu cpu(policy_);
    SchedulerThread worker{};
    ASSERT_TRUE(cpu.set_attributes(SimulatedCpu::prepare(worker, 1), reservation(40, 100), false));
    SchedulerThread hogs[2]{};
    uint32_t next_id = 2;
    int late = 0;
    for (int job = 0; job < 20; ++job) {
        cpu.wake(worker, EnqueueReason::Woken);
        uint64_t left_ms = 40, hogs_run = 0;
        for (uint64_t ms = 0; ms < 100 || left_ms != 0; ++ms) {
            for (SchedulerThread& hog : hogs) {
                if (hog.id != ThreadId::None) continue;
                SimulatedCpu::prepare(hog, next_id++);
                if (cpu.set_attributes(hog, ms % 2 == 0 ? reservation(45, 90) : reservation(5, 10), false))
                    cpu.wake(hog, EnqueueReason::Created);
                else
                    hog.id = ThreadId::None;
            }
            SchedulerThread* const runs = cpu.current();
            cpu.run(kMs);
            if (runs == &worker && --left_ms == 0) {
                late += ms >= 100;
                cpu.block();
            } else if (runs != nullptr && runs != &worker && ++hogs_run % 5 == 0) {
                cpu.block(BlockReason::Ended).id = ThreadId::None;
            }
            if (cpu.current() != nullptr) cpu.tick();
        }
    }
    EXPECT_EQ(late, 0);
    EXPECT_GT(next_id, 40u);
}

TEST_F(DeadlineTest, TheEarlierDeadlinePreemptsAtOnceAndAtATick) {
    SimulatedCpu cpu(policy_);
    SchedulerThread sooner{}, later{}, greedy{};
    SimulatedCpu::prepare(sooner, 1);
    SimulatedCpu::prepare(later, 2);
    SimulatedCpu::prepare(greedy, 3);
    ASSERT_TRUE(cpu.set_attributes(sooner, reservation(1, 10), false));
    ASSERT_TRUE(cpu.set_attributes(later, reservation(50, 100), false));
    ASSERT_TRUE(cpu.set_attributes(greedy, reservation(2, 10), false));
    cpu.wake(later, EnqueueReason::Created);
    cpu.wake(sooner, EnqueueReason::Created);
    EXPECT_EQ(cpu.current(), &sooner) << "when it wakes";
    cpu.block();
    cpu.wake(greedy, EnqueueReason::Created);
    cpu.pass(2);
    EXPECT_EQ(cpu.current(), &later) << "the budget is used";
    cpu.pass(8);
    EXPECT_EQ(cpu.current(), &greedy) << "it has a new one";
}

TEST_F(DeadlineTest, WhoYieldsHasDoneTheWorkOfItsPeriod) {
    SimulatedCpu cpu(policy_);
    SchedulerThread worker{}, other{};
    SimulatedCpu::prepare(worker, 1);
    SimulatedCpu::prepare(other, 2);
    ASSERT_TRUE(cpu.set_attributes(worker, reservation(5, 20), false));
    cpu.wake(other, EnqueueReason::Created);
    cpu.wake(worker, EnqueueReason::Created);
    for (int period = 0; period < 10; ++period) {
        ASSERT_EQ(cpu.current(), &worker);
        cpu.pass(2);
        cpu.yield();
        for (int ms = 2; ms < 20; ++ms) {
            ASSERT_EQ(cpu.current(), &other) << ms;
            cpu.pass(1);
        }
    }
}

TEST_F(DeadlineTest, AShortSleepDoesNotRenewTheBudget) {
    SimulatedCpu cpu(policy_);
    SchedulerThread sleeper{}, other{};
    SimulatedCpu::prepare(sleeper, 1);
    SimulatedCpu::prepare(other, 2);
    ASSERT_TRUE(cpu.set_attributes(sleeper, reservation(4, 20), false));
    cpu.wake(other, EnqueueReason::Created);
    cpu.wake(sleeper, EnqueueReason::Created);
    for (int round = 0; round < 500; ++round) {
        for (int i = 0; i < 3 && cpu.current() == &sleeper; ++i) cpu.pass(1);
        if (cpu.current() == &sleeper) {
            cpu.block();
            cpu.pass(1);
            cpu.wake(sleeper, EnqueueReason::Woken);
        } else {
            cpu.pass(1);
        }
    }
    EXPECT_LE(static_cast<double>(sleeper.runtime_ns), 0.2 * static_cast<double>(cpu.now_ns() - 1'000'000'000) + 4e6);
    EXPECT_GE(static_cast<double>(sleeper.runtime_ns), 0.15 * static_cast<double>(cpu.now_ns() - 1'000'000'000));
}

TEST_F(DeadlineTest, ThoseBehindTakeTurns) {
    SimulatedCpu cpu(policy_);
    SchedulerThread threads[3];
    for (uint32_t i = 0; i < 3; ++i) cpu.wake(SimulatedCpu::prepare(threads[i], i + 1, i), EnqueueReason::Created);
    cpu.pass(3000);
    for (const SchedulerThread& thread : threads) EXPECT_NEAR(static_cast<double>(thread.runtime_ns) / kMs, 1000, 11);
}

TEST_F(DeadlineTest, AReservationThatCameWithTheThreadIsGrantedIfThereIsRoom) {
    SimulatedCpu cpu(policy_);
    SchedulerThread threads[3];
    for (uint32_t i = 0; i < 3; ++i) {
        SimulatedCpu::prepare(threads[i], i + 1);
        threads[i].attributes = reservation(4, 10);
        policy_.enqueue(cpu.view(), threads[i], EnqueueReason::Snapshot);
        EXPECT_TRUE(policy_.self_check(cpu.view(), threads[i]));
    }
    EXPECT_EQ(policy_.reserved(0), 800'000u);
    cpu.view().current = policy_.pick_next(cpu.view());
    cpu.block(BlockReason::Ended);
    cpu.block();
    ASSERT_EQ(cpu.current(), &threads[2]);
    cpu.yield();
    EXPECT_EQ(policy_.reserved(0), 800'000u) << "the third has the room of the first";
    // Plugged in again it begins anew.
    EXPECT_TRUE(has(policy_.plug_in(), SchedulerTraits::PlacesThreads));
    EXPECT_EQ(policy_.reserved(0), 0u);
}

TEST_F(DeadlineTest, TheReportsSayWhatIsReserved) {
    SimulatedCpu cpu(policy_);
    SchedulerThread a{}, b{};
    ASSERT_TRUE(cpu.set_attributes(SimulatedCpu::prepare(a, 7), reservation(4, 10), false));
    policy_.enqueue(cpu.view(), a, EnqueueReason::Created);
    policy_.enqueue(cpu.view(), SimulatedCpu::prepare(b, 8), EnqueueReason::Created);
    char text[400];
    const std::string dump(text, policy_.dump(cpu.view(), Span<char>(text)));
    EXPECT_NE(dump.find("2 queued, 400000 millionths reserved"), std::string::npos) << dump;
    EXPECT_NE(dump.find("7: budget 4000 us, deadline 1010000 us\nbehind: 8\n"), std::string::npos) << dump;
    const auto response = policy_.handle_request({InstanceId::None, "reservations", {}});
    EXPECT_EQ(response.value().payload().text(), Text("[400000]"));
}

}  // namespace

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The odd schedulers do what their names say and nothing else, and the example out of the tree is a right one.

#include "../conformance/scheduler_conformance.hpp"
#include "host_services.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#undef HELIX_MODULE
#define HELIX_MODULE(Class)
#include "../../examples/my_scheduler/my_scheduler.cpp"
#include "scheduler_crashes/scheduler_crashes.cpp"
#include "scheduler_fails_in_init/scheduler_fails_in_init.cpp"
#include "scheduler_fails_in_restore/scheduler_fails_in_restore.cpp"
#include "scheduler_loses_threads/scheduler_loses_threads.cpp"
#include "scheduler_returns_garbage/scheduler_returns_garbage.cpp"
#include "scheduler_unhealthy/scheduler_unhealthy.cpp"

namespace {
using test_support::DirectTarget;
using test_support::HostServices;

/// A policy with its declared options, or those given, after init.
template <typename Policy>
class Odd {
public:
    explicit Odd(std::initializer_list<std::pair<std::string, std::string>> settings = {}) {
        host_.declare(Policy::kOptions);
        for (const auto& [key, value] : settings) host_.set(key, value);
        EXPECT_TRUE(policy.init(host_.context()).ok());
    }
    std::string first_failure(uint64_t seed = 1) {
        auto suite = std::make_unique<conformance::SchedulerConformance<DirectTarget<Scheduler>>>();
        conformance::Report report;
        suite->run(DirectTarget<Scheduler>(policy), seed, report);
        EXPECT_GT(report.checks(), 0u);
        return std::string(report.first_failure());
    }

private:
    HostServices host_;

public:
    Policy policy;
};
bool contains(const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
}

TEST(ExampleScheduler, Conforms) {
    for (const char* slice : {"1ms", "5ms", "250ms"})
        for (uint64_t seed = 0; seed < 10; ++seed)
            EXPECT_EQ(Odd<MyScheduler>({{"base_slice", slice}}).first_failure(seed), "") << slice << ' ' << seed;
}

TEST(OddSchedulers, TheOneThatFailsInInitFailsInInit) {
    HostServices host;
    SchedulerFailsInInit policy;
    EXPECT_EQ(policy.init(host.context()).error().sentence(), Text("init fails on purpose"));
}

TEST(OddSchedulers, TheOneThatFailsInRestoreIsRightOtherwise) {
    Odd<SchedulerFailsInRestore> odd;
    uint8_t buffer[512];
    StateWriter writer(MutableBytes(buffer, sizeof(buffer)), 1);
    ASSERT_TRUE(odd.policy.save_state(writer).ok());
    auto reader = StateReader::open(writer.finish().value());
    ASSERT_TRUE(reader.ok());
    EXPECT_EQ(odd.policy.restore_state(reader.value(), Reason::Reload).error().code(), ErrorCode::Corrupt);
    EXPECT_EQ(odd.first_failure(), "");
}

TEST(OddSchedulers, TheUnhealthyOneFailsVerification) {
    Odd<SchedulerUnhealthy> by_health;
    EXPECT_FALSE(by_health.policy.is_healthy());
    EXPECT_EQ(by_health.first_failure(), "");
    Odd<SchedulerUnhealthy> by_self_check({{"what", "self_check"}});
    EXPECT_TRUE(by_self_check.policy.is_healthy());
    EXPECT_TRUE(contains(by_self_check.first_failure(), "self_check failed"));
}

TEST(OddSchedulers, TheOneThatCrashesServesAsManyPicksAsItWasTold) {
    Odd<SchedulerCrashes> odd({{"after", "3"}});
    SchedulerCpu cpu{};
    SchedulerThread thread{};
    thread.affinity = 1;
    for (int i = 0; i < 3; ++i) {
        odd.policy.enqueue(cpu, thread, EnqueueReason::Woken);
        EXPECT_EQ(odd.policy.pick_next(cpu), &thread);
    }
    EXPECT_DEATH(odd.policy.pick_next(cpu), "");
}

TEST(OddSchedulers, TheOneThatLosesThreadsLosesThemOnlyWhileItRules) {
    Odd<SchedulerLosesThreads> odd({{"every", "2"}});
    SchedulerCpu cpu{};
    SchedulerThread threads[8] = {};
    for (SchedulerThread& thread : threads) odd.policy.enqueue(cpu, thread, EnqueueReason::Snapshot);
    for (SchedulerThread& thread : threads) odd.policy.dequeue(cpu, thread, DequeueReason::Picked);
    EXPECT_TRUE(odd.policy.is_healthy());
    EXPECT_EQ(odd.policy.pick_next(cpu), nullptr);
    for (SchedulerThread& thread : threads) odd.policy.enqueue(cpu, thread, EnqueueReason::Woken);
    EXPECT_EQ(odd.policy.statistics(cpu).runnable, 4u);
    EXPECT_NE(Odd<SchedulerLosesThreads>().first_failure(), "");
}

TEST(OddSchedulers, TheOneThatReturnsGarbageReturnsEachKind) {
    EXPECT_TRUE(contains(Odd<SchedulerReturnsGarbage>().first_failure(), "never enqueued"));
    EXPECT_TRUE(contains(Odd<SchedulerReturnsGarbage>({{"what", "own"}}).first_failure(), "never enqueued"));
    const std::string stale = Odd<SchedulerReturnsGarbage>({{"what", "stale"}, {"after", "100"}}).first_failure();
    EXPECT_TRUE(contains(stale, "while it ran") || contains(stale, "did not wait")) << stale;
}

}  // namespace

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Restarts: what the profile says, and when the next attempt is due.

#include "kernel/module/restart.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace helix::kernel {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kMillisecond = 1'000'000;

Supervision rules_of(Text lines) {
    return Supervision::of(Profile::parse(as_bytes(lines)).take(), "x");
}

/// Fails `times` times, each time `after_ns` behind the attempt before; how long each attempt waits.
std::vector<uint64_t> delays(Restarts& restarts, const Supervision& rules, size_t times, uint64_t after_ns,
                             uint64_t now_ns = kSecond) {
    std::vector<uint64_t> found;
    for (size_t i = 0; i < times && restarts.plan(rules, now_ns); ++i) {
        found.push_back(restarts.due_ns - now_ns);
        now_ns = restarts.due_ns;
        restarts.note_attempt(now_ns);
        now_ns += after_ns;
    }
    return found;
}

TEST(Supervision, HasDefaultsThatRestart) {
    const Supervision rules = rules_of("");
    EXPECT_EQ(rules.restart, Supervision::Restart::OnFailure);
    EXPECT_EQ(rules.restart_limit, 5u);
    EXPECT_EQ(rules.health_period_ns, kSecond);
    EXPECT_EQ(rules.call_budget_ns, kSecond);
    EXPECT_EQ(rules.call_limit_ns, 0u);
}

TEST(Supervision, TakesTheModulesOwnTableBeforeThatOfAll) {
    const Supervision rules = rules_of(
        "kernel.restart=never\nmodule.x.restart=always\nkernel.restart_limit=7\nmodule.y.restart_limit=9\n"
        "module.x.health_period=0s\nmodule.x.health_failures=2\nmodule.x.call_limit=2s\nmodule.x.restart_delay=5ms\n"
        "kernel.call_budget=300ms");
    EXPECT_EQ(rules.restart, Supervision::Restart::Always);
    EXPECT_EQ(rules.restart_limit, 7u);
    EXPECT_EQ(rules.health_period_ns, 0u);
    EXPECT_EQ(rules.health_failures, 2u);
    EXPECT_EQ(rules.call_budget_ns, 300 * kMillisecond);
    EXPECT_EQ(rules.call_limit_ns, 2 * kSecond);
    EXPECT_EQ(rules.restart_delay_ns, 5 * kMillisecond);
}

TEST(Supervision, LooksAsOftenAsTheShortestPeriodAsks) {
    EXPECT_EQ(rules_of("").checkpoint_period_ns, 0u);
    EXPECT_EQ(rules_of("").look_period_ns(), kSecond);
    EXPECT_EQ(rules_of("kernel.checkpoint=200ms").look_period_ns(), 200 * kMillisecond);
    EXPECT_EQ(rules_of("kernel.checkpoint=5s").look_period_ns(), kSecond);
    EXPECT_EQ(rules_of("kernel.checkpoint=5s\nkernel.health_period=0s").look_period_ns(), 5 * kSecond);
    EXPECT_EQ(rules_of("kernel.health_period=0s").look_period_ns(), 0u);
    EXPECT_EQ(rules_of("kernel.health_period=0s\nkernel.call_limit=4s").look_period_ns(), 0u);
}

TEST(Supervision, WatchesCallsTwiceInTheirTimeButNotWithoutPause) {
    EXPECT_EQ(rules_of("").watch_period_ns(), 0u);
    EXPECT_EQ(rules_of("kernel.call_limit=4s").watch_period_ns(), 2 * kSecond);
    EXPECT_EQ(rules_of("kernel.call_limit=4s\nmodule.x.call_limit=0s").watch_period_ns(), 0u);
    EXPECT_EQ(rules_of("kernel.call_limit=1us").watch_period_ns(), kMillisecond);
}

TEST(Supervision, KeepsTheDefaultWhereTheToolWouldRefuse) {
    const Supervision rules = rules_of("module.x.restart=perhaps\nmodule.x.restart_limit=17\nmodule.x.call_limit=soon");
    EXPECT_EQ(rules.restart, Supervision::Restart::OnFailure);
    EXPECT_EQ(rules.restart_limit, 5u);
    EXPECT_EQ(rules.call_limit_ns, 0u);
}

TEST(Restarts, ComeAtOnceFirstThenLaterAndLater) {
    Supervision rules;
    rules.restart_delay_max_ns = 300 * kMillisecond;
    Restarts restarts;
    const std::vector<uint64_t> expected{0, 100 * kMillisecond, 200 * kMillisecond, 300 * kMillisecond,
                                         300 * kMillisecond};
    EXPECT_EQ(delays(restarts, rules, 99, 1), expected);
    EXPECT_TRUE(restarts.gave_up);
}

TEST(Restarts, AreForgottenAfterThePeriod) {
    const Supervision rules;
    Restarts restarts;
    EXPECT_EQ(delays(restarts, rules, 50, rules.restart_period_ns), std::vector<uint64_t>(50, 0));
    EXPECT_FALSE(restarts.gave_up);
}

TEST(Restarts, NeverMeansNever) {
    Supervision rules;
    rules.restart = Supervision::Restart::Never;
    Restarts restarts;
    EXPECT_FALSE(restarts.plan(rules, kSecond));
    EXPECT_FALSE(restarts.gave_up);
}

TEST(Restarts, AlwaysMeansAlwaysButNotMoreOftenThanTheLongestDelay) {
    Supervision rules;
    rules.restart = Supervision::Restart::Always;
    rules.restart_limit = 3;
    Restarts restarts;
    const std::vector<uint64_t> found = delays(restarts, rules, 40, 1);
    ASSERT_EQ(found.size(), 40u);
    for (size_t i = 9; i < found.size(); ++i) EXPECT_GE(found[i], 3 * kSecond) << i;
}

TEST(Restarts, KeepWhatIsDoneAcrossAttemptsUntilTheSuccessorFails) {
    const Supervision rules;
    Restarts restarts;
    restarts.note_failure(kSecond);
    ASSERT_TRUE(restarts.plan(rules, kSecond));
    restarts.emptied = true;
    restarts.note_attempt(2 * kSecond);
    ASSERT_TRUE(restarts.plan(rules, 2 * kSecond));  // the attempt failed
    EXPECT_TRUE(restarts.emptied);
    EXPECT_EQ(restarts.failed_ns, kSecond);
    restarts.note_failure(3 * kSecond);
    ASSERT_TRUE(restarts.plan(rules, 3 * kSecond));
    EXPECT_FALSE(restarts.emptied);
    EXPECT_EQ(restarts.failed_ns, 3 * kSecond);
}

TEST(Restarts, KnowWhichAttemptIsTheLast) {
    Supervision rules;
    rules.restart_limit = 2;
    Restarts restarts;
    EXPECT_FALSE(restarts.is_last(rules, kSecond));
    restarts.note_attempt(kSecond);
    EXPECT_TRUE(restarts.is_last(rules, 2 * kSecond));
    EXPECT_FALSE(restarts.is_last(rules, kSecond + rules.restart_period_ns));
    rules.restart_limit = 1;  // its one attempt keeps what was kept
    EXPECT_FALSE(Restarts().is_last(rules, kSecond));
}

}  // namespace
}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Workload files run on pthreads: everything happens as often as the file says, and nothing is left behind.

#include "../test/host_services.hpp"
#include "workload.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <regex>
#include <string>

namespace {
using namespace helix;
using workload::Workload;

class FileRunsTest : public ::testing::Test {
protected:
    void SetUp() override { host_.declare(Workload::kOptions); }
    void TearDown() override {
        EXPECT_TRUE(module_->stop().ok());
        EXPECT_TRUE(host_.all_threads_ended());
        EXPECT_EQ(host_.semaphores_alive(), 0u);
    }
    void start() {
        ASSERT_TRUE(module_->init(host_.context()).ok());
        ASSERT_TRUE(module_->start().ok());
        ASSERT_EQ(ask("calibrate", "1000"), "{\"steps_per_ms\":1000}");
    }
    std::string ask(Text type, const std::string& payload = {}) {
        const auto result = module_->handle_request({InstanceId::None, type, as_bytes(Text(payload))});
        if (!result.ok()) return "error: " + std::string(result.error().sentence());
        const Response& response = result.value();
        return response.is_ok() ? std::string(response.payload().text())
                                : "response: " + std::string(response.sentence());
    }
    /// The number of `key` behind the first `"name":"task"`; of the whole without a task.
    static uint64_t number(const std::string& answer, const std::string& key, const std::string& task = {}) {
        const size_t from = task.empty() ? 0 : answer.find("\"name\":\"" + task + "\"");
        const size_t at = from == std::string::npos ? from : answer.find("\"" + key + "\":", from);
        if (at == std::string::npos) {
            ADD_FAILURE() << "no " << key << " of \"" << task << "\" in " << answer;
            return UINT64_MAX;
        }
        return std::stoull(answer.substr(at + key.size() + 3));
    }

    test_support::HostServices host_;
    std::unique_ptr<Workload> module_ = std::make_unique<Workload>();
};

TEST_F(FileRunsTest, EverythingHappensAsOftenAsTheFileSays) {
    start();
    const std::string answer = ask("run", R"({"tasks": {
        "sleeper": {"instance": 3, "loop": 4, "phases": {"p": {"loop": 5, "run": 7, "sleep": 1}, "q": {"run": 100}}},
        "meeting": {"instance": 4, "loop": 25, "run": 10, "barrier": "b"},
        "locked": {"instance": 2, "loop": 50, "lock": "m", "run": 3, "unlock": "m", "yield": ""},
        "alone": {"loop": 5, "lock": "n", "run": 1, "unlock": "n"}}})");
    EXPECT_EQ(answer.find("{\"ended\":\"loops\","), 0u) << answer;
    EXPECT_EQ(number(answer, "threads"), 10u);
    EXPECT_EQ(number(answer, "loops"), 3u * 4 + 4 * 25 + 2 * 50 + 5);
    EXPECT_EQ(number(answer, "loops", "sleeper"), 3u * 4);
    EXPECT_EQ(number(answer, "steps", "sleeper"), 3u * 4 * (5 * 2 + 1));
    EXPECT_EQ(number(answer, "work_ns", "sleeper"), 3u * 4 * (5 * 7'000 + 100'000));
    EXPECT_EQ(number(answer, "least_work_ns", "sleeper"), 4u * (5 * 7'000 + 100'000));
    EXPECT_EQ(number(answer, "most_work_ns", "sleeper"), 4u * (5 * 7'000 + 100'000));
    EXPECT_EQ(number(answer, "wakeups", "sleeper"), 3u * 4 * 5) << "one for each sleep";
    EXPECT_EQ(number(answer, "wakeups", "meeting"), 3u * 25) << "the last to come does not wait";
    EXPECT_EQ(number(answer, "steps", "meeting"), 4u * 25 * 2);
    EXPECT_EQ(number(answer, "work_ns", "locked"), 2u * 50 * 3'000);
    EXPECT_EQ(number(answer, "steps", "locked"), 2u * 50 * 4);
    EXPECT_EQ(number(answer, "wakeups", "alone"), 0u) << "it had the lock at once each time";
    EXPECT_EQ(number(answer, "migrations"), 0u);

    const std::string details = ask("details");
    EXPECT_NE(
        details.find("\"work_ns\":[[540000,540000,540000],[250000,250000,250000,250000],[150000,150000],[5000]]}"),
        std::string::npos)
        << details;
    uint64_t counted = 0;
    const std::regex pair(R"(\[(\d+),(\d+)\])");
    const std::string latencies = details.substr(0, details.find("\"largest"));
    for (std::sregex_iterator it(latencies.begin(), latencies.end(), pair), end; it != end; ++it)
        counted += std::stoull((*it)[2]);
    EXPECT_EQ(counted, number(answer, "wakeups"));
}

TEST_F(FileRunsTest, WhoGetsALockAtOnceWasNotWoken) {
    start();
    // Of each round's six at the barrier five are; of its six takings of the lock at most all.
    const std::string answer = ask("run", R"({"tasks": {"a": {"instance": 6, "loop": 200, "lock": "m", "run": 1,
        "unlock": "m", "barrier": "b"}}})");
    EXPECT_EQ(number(answer, "loops"), 6u * 200) << answer;
    EXPECT_GE(number(answer, "wakeups"), 5u * 200) << answer;
    EXPECT_LE(number(answer, "wakeups"), 5u * 200 + 6 * 200) << answer;
}

TEST_F(FileRunsTest, ATimerCountsThePeriodsItMissed) {
    start();
    // A microsecond has passed before the first of them, whatever happens; an hour has not.
    const std::string answer = ask("run", R"({"global": {"duration": 0.05}, "tasks": {
        "late": {"loop": 20, "run": 50, "timer": {"ref": "unique", "period": 1}},
        "early": {"loop": 1, "timer": {"period": 3600000000}},
        "never": {"instance": 2, "run": 3600000000, "timer": {"period": 10000}}}})");
    EXPECT_EQ(answer.find("{\"ended\":\"duration\","), 0u) << answer;
    EXPECT_EQ(number(answer, "loops", "late"), 20u);
    EXPECT_EQ(number(answer, "missed", "late") + number(answer, "wakeups", "late"), 20u);
    EXPECT_GT(number(answer, "missed", "late"), 0u);
    EXPECT_EQ(number(answer, "loops", "early"), 0u);
    EXPECT_EQ(number(answer, "missed", "early"), 0u);
    EXPECT_EQ(number(answer, "wakeups", "early"), 0u) << "the end of the run is no wake-up";
    EXPECT_EQ(number(answer, "missed", "never"), 2u * 5) << "it did not come to its timer at all";
}

TEST_F(FileRunsTest, TheEndOfTheRunLetsEverybodyGo) {
    start();
    for (int i = 0; i < 5; ++i) {
        const std::string answer = ask("run", R"({"global": {"duration": 0.02}, "tasks": {
            "computes": {"instance": 3, "run": 3600000000},
            "sleeps": {"sleep": 3600000000},
            "waits": {"delay": 3600000000, "run": 1},
            "holds": {"instance": 4, "lock": "m", "sleep": 3600000000, "unlock": "m"},
            "meets": {"instance": 2, "barrier": "b", "run": 10},
            "never": {"instance": 2, "phases": {"p": {"sleep": 3600000000}, "q": {"barrier": "c"}}}}})");
        EXPECT_EQ(answer.find("{\"ended\":\"duration\","), 0u) << answer;
        EXPECT_EQ(number(answer, "loops", "computes"), 0u);
        EXPECT_EQ(number(answer, "loops", "holds"), 0u);
        EXPECT_GT(number(answer, "work_ns", "computes"), 0u) << "what was done of a long step counts";
        EXPECT_TRUE(host_.all_threads_ended());
    }
}

TEST_F(FileRunsTest, ARunWithoutADurationIsGivenUp) {
    host_.set("run_limit", "20ms");
    start();
    // Two barriers in different orders: nobody ever gets on.
    const std::string answer = ask("run", R"({"tasks": {"a": {"loop": 1, "barrier": "x", "barrier1": "y"},
        "b": {"loop": 1, "barrier": "y", "barrier1": "x"}}})");
    EXPECT_EQ(answer.find("{\"ended\":\"limit\","), 0u) << answer;
    EXPECT_EQ(number(answer, "steps"), 0u);
}

uint32_t g_weight;  ///< of the attributes that were granted last
Result<void> (*g_set_attributes)(InstanceToken*, ThreadId, const SchedulingAttributes*);

TEST_F(FileRunsTest, WhatTheSchedulerDoesNotGrantIsCounted) {
    start();
    g_set_attributes = host_.services().thread_set_attributes;
    host_.services().thread_set_attributes = [](InstanceToken* self, ThreadId id, const SchedulingAttributes* wanted) {
        const auto result = g_set_attributes(self, id, wanted);
        if (result.ok()) __atomic_store_n(&g_weight, wanted->weight, __ATOMIC_RELAXED);
        return result;
    };
    const std::string answer = ask("run", R"({"tasks": {
        "asks": {"instance": 2, "loop": 1, "weight": 2048, "dl-runtime": 10, "dl-period": 1000, "run": 1},
        "weighs": {"loop": 1, "weight": 512, "run": 1}}})");
    EXPECT_EQ(number(answer, "refused", "asks"), 2u) << answer;
    EXPECT_EQ(number(answer, "refused", "weighs"), 0u);
    g_weight = 0;
    ask("run", R"({"tasks": {"a": {"loop": 1, "weight": 2048, "dl-runtime": 10, "dl-period": 1000, "run": 1}}})");
    EXPECT_EQ(g_weight, 2048u) << "what is no promise it has all the same";
}

TEST_F(FileRunsTest, AMistakeInTheFileIsNamedAndNothingRuns) {
    start();
    EXPECT_EQ(ask("details"), "response: nothing was run; run FILE first");
    EXPECT_EQ(ask("run", "{\n\"tasks\": {\"a\": {\"rum\": 1}}}"),
              "response: line 2, column 17: unknown key \"rum\" in a task; it takes instance, loop, delay, priority, "
              "weight, slice, dl-runtime, dl-deadline, dl-period, cpus, phases and steps");
    EXPECT_EQ(ask("calibrate", "0"), "response: calibrate N: \"0\" is not a number from 1 to 100000000");
    EXPECT_EQ(ask("details"), "response: nothing was run; run FILE first");
    EXPECT_EQ(host_.semaphores_alive(), 1u) << "the module's own";
}

TEST_F(FileRunsTest, AThreadThatIsNotToBeHadUndoesTheRest) {
    host_.limit_threads(5);
    start();
    const std::string file = R"({"tasks": {"a": {"instance": 8, "loop": 1, "run": 1, "barrier": "b"}}})";
    EXPECT_EQ(ask("run", file),
              "response: 8 threads and their semaphores were not to be had in time, or the run was interrupted");
    EXPECT_TRUE(host_.all_threads_ended());
    EXPECT_EQ(host_.semaphores_alive(), 1u);
    EXPECT_EQ(ask("details"), "response: nothing was run; run FILE first");
    host_.limit_threads(0);
    EXPECT_EQ(number(ask("run", file), "loops"), 8u);
    EXPECT_EQ(ask("details").find("{\"latencies_ns\":"), 0u);
    host_.limit_threads(1);
    EXPECT_EQ(ask("run", file).find("response: 8 threads"), 0u);
    EXPECT_EQ(ask("details"), "response: nothing was run; run FILE first") << "what was before is gone";
}

uint32_t g_semaphores;  ///< that may still be created
Result<SemaphoreId> (*g_semaphore_create)(InstanceToken*, uint32_t);

TEST_F(FileRunsTest, ASemaphoreThatIsNotToBeHadUndoesTheRest) {
    start();
    Services& services = host_.services();
    g_semaphore_create = services.semaphore_create;
    services.semaphore_create = [](InstanceToken* self, uint32_t initial) -> Result<SemaphoreId> {
        if (g_semaphores == 0) return ErrorCode::OutOfMemory;
        --g_semaphores;
        return g_semaphore_create(self, initial);
    };
    const std::string file = R"({"tasks": {"a": {"instance": 2, "loop": 1, "lock": "m", "run": 1, "unlock": "m",
        "barrier": "b"}}})";
    // Three of the run, two of each meeting, one of each thread.
    for (uint32_t n = 0; n < 9; ++n) {
        g_semaphores = n;
        EXPECT_EQ(ask("run", file).find("response: 2 threads and their semaphores were not to be had"), 0u) << n;
        EXPECT_EQ(host_.semaphores_alive(), 1u) << n;
    }
    g_semaphores = 9;
    EXPECT_EQ(number(ask("run", file), "loops"), 2u);
}

Result<void> (*g_join)(InstanceToken*, ThreadId);
bool g_interrupted;

TEST_F(FileRunsTest, ARunThatWasInterruptedEndsLater) {
    start();
    Services& services = host_.services();
    g_join = services.thread_join;
    g_interrupted = true;
    services.thread_join = [](InstanceToken* self, ThreadId id) -> Result<void> {
        if (g_interrupted) return ErrorCode::Cancelled;
        return g_join(self, id);
    };
    const std::string file = R"({"tasks": {"a": {"instance": 3, "loop": 1, "run": 1}}})";
    EXPECT_EQ(ask("run", file), "response: threads of the run before still end; try again");
    EXPECT_EQ(ask("run", file), "response: threads of the run before still end; try again");
    EXPECT_GT(host_.semaphores_alive(), 1u) << "threads may still use them";
    g_interrupted = false;
    EXPECT_EQ(number(ask("run", file), "loops"), 3u);
}

TEST_F(FileRunsTest, ASpeedIsMeasuredWhenNoneWasSaid) {
    ASSERT_TRUE(module_->init(host_.context()).ok());
    ASSERT_TRUE(module_->start().ok());
    const std::string answer = ask("run", R"({"tasks": {"a": {"loop": 2, "run": 20}}})");
    EXPECT_GT(number(answer, "steps_per_ms"), 1000u) << answer;
    EXPECT_EQ(number(answer, "work_ns"), 40'000u);
    host_.services().now_ns = [](InstanceToken*) -> uint64_t { return 5; };
    EXPECT_EQ(ask("calibrate"), "{\"steps_per_ms\":0}");
    EXPECT_EQ(ask("run", R"({"tasks": {"a": {"loop": 2, "run": 20}}})"),
              "response: the speed of this CPU cannot be measured here; say it: calibrate STEPS-IN-A-MILLISECOND");
}

}  // namespace

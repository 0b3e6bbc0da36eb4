// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The workload on pthreads: it proves progress, finds a thread that is stuck, and leaves nothing behind.

#include "workload.hpp"
#include "../test/host_services.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <string>

namespace {
using namespace helix;
using workload::Workload;

class WorkloadTest : public ::testing::Test {
protected:
    void SetUp() override { host_.declare(Workload::kOptions); }
    void start() {
        ASSERT_TRUE(module_.init(host_.context()).ok());
        ASSERT_TRUE(module_.start().ok());
    }
    Result<Response> ask(Text type, Text payload = {}) {
        return module_.handle_request({InstanceId::None, type, as_bytes(payload)});
    }
    static std::string text(const Result<Response>& result) {
        if (!result.ok()) return "error: " + std::string(result.error().sentence());
        const Response& response = result.value();
        return response.is_ok() ? std::string(response.payload().text())
                                : "response: " + std::string(response.sentence());
    }

    test_support::HostServices host_;
    Workload module_;
};

TEST_F(WorkloadTest, EveryThreadProgressesAndNothingIsLeft) {
    host_.set("burst", "200");
    start();
    for (const std::string count : {"1", "5", "7", "63", "200"}) {
        ASSERT_EQ(text(ask("start", count)).find("{\"threads\":" + std::string(count)), 0u) << count;
        for (int i = 0; i < 3; ++i) {
            const std::string answer = text(ask("check"));
            ASSERT_EQ(answer.find("{\"threads\":" + std::string(count) + ",\"progressed\":" + count +
                                  ",\"lost\":0,\"run_twice\":0,\"starved\":0,\"slowest_id\":"),
                      0u)
                << answer;
        }
        const std::string stopped = text(ask("stop"));
        ASSERT_EQ(stopped.find("{\"threads\":0,"), 0u) << stopped;
        EXPECT_NE(stopped.find("\"cancelled\":0"), std::string::npos) << stopped;
        EXPECT_TRUE(host_.all_threads_ended());
        EXPECT_EQ(host_.semaphores_alive(), 1u);
    }
    EXPECT_TRUE(module_.stop().ok());
    EXPECT_EQ(host_.semaphores_alive(), 0u);
}

TEST_F(WorkloadTest, ShortLivedThreadsAreReplaced) {
    host_.set("burst", "10");
    start();
    ASSERT_EQ(text(ask("start", "16")).find("{"), 0u);
    std::string status;
    for (int i = 0; i < 2000; ++i) {
        status = text(ask("check"));
        ASSERT_EQ(status.find("{"), 0u) << status;
        if (status.find("\"ended_as_planned\":0,") == std::string::npos) break;
    }
    EXPECT_EQ(status.find("\"ended_as_planned\":0,"), std::string::npos) << status;
    EXPECT_TRUE(module_.stop().ok());
    EXPECT_TRUE(host_.all_threads_ended());
}

TEST_F(WorkloadTest, StopWithoutARequestEndsEverything) {
    start();
    ASSERT_EQ(text(ask("start", "40")).find("{"), 0u);
    EXPECT_TRUE(module_.stop().ok());
    EXPECT_TRUE(host_.all_threads_ended());
    EXPECT_EQ(host_.semaphores_alive(), 0u);
}

TEST_F(WorkloadTest, AFailureToCreateAThreadUndoesTheRest) {
    host_.limit_threads(20);
    start();
    EXPECT_EQ(text(ask("start", "40")), "response: 40 threads: out of memory; run with more --memory");
    EXPECT_TRUE(host_.all_threads_ended());
    EXPECT_EQ(host_.semaphores_alive(), 1u);
    EXPECT_EQ(text(ask("check")), "response: no threads run; start N first");
    EXPECT_TRUE(module_.stop().ok());
}

TEST_F(WorkloadTest, EqualsMeasureTheirTurns) {
    host_.set("burst", "200");
    start();
    EXPECT_EQ(text(ask("turns")), "response: no turn has ended; start_equals N first, then wait");
    ASSERT_EQ(text(ask("start_equals", "3")).find("{\"threads\":3,"), 0u);
    std::string answer;
    do {
        ASSERT_EQ(text(ask("check")).find("{\"threads\":3,\"progressed\":3,\"lost\":0"), 0u);
        answer = text(ask("turns"));
    } while (answer.find("response") == 0);
    unsigned turns = 0;
    unsigned long shortest = 0, median = 0, longest = 0;
    ASSERT_EQ(std::sscanf(answer.c_str(), "{\"turns\":%u,\"shortest_us\":%lu,\"median_us\":%lu,\"longest_us\":%lu}",
                          &turns, &shortest, &median, &longest),
              4)
        << answer;
    EXPECT_GE(turns, 1u);
    EXPECT_LE(shortest, median);
    EXPECT_LE(median, longest);
    ASSERT_EQ(text(ask("stop")).find("{\"threads\":0,"), 0u);
    EXPECT_TRUE(module_.stop().ok());
    EXPECT_TRUE(host_.all_threads_ended());
}

TEST_F(WorkloadTest, BadRequestsChangeNothing) {
    start();
    EXPECT_EQ(text(ask("start", "many")), "response: start N: \"many\" is not a number from 1 to 20000");
    EXPECT_EQ(text(ask("start", "0")), "response: start N: \"0\" is not a number from 1 to 20000");
    EXPECT_EQ(text(ask("start", "20001")), "response: start N: \"20001\" is not a number from 1 to 20000");
    EXPECT_EQ(text(ask("dance")), "error: not implemented");
    ASSERT_EQ(text(ask("start", "3")).find("{"), 0u);
    EXPECT_EQ(text(ask("start", "3")), "response: a crowd of 3 threads runs already; stop it first");
    EXPECT_TRUE(module_.stop().ok());
}

/// Threads whose service calls stop returning, as if their scheduler had forgotten them.
std::atomic<bool> g_stuck{false};
void (*g_yield)(InstanceToken*);
const Services* g_services;

/// While g_stuck, the thread that was created second does not return from `yield`.
void stick_second_thread(Services& services) {
    g_services = &services;
    g_yield = services.thread_yield;
    services.thread_yield = [](InstanceToken* self) {
        while (g_stuck && g_services->thread_current(self) == ThreadId(2)) std::this_thread::yield();
        g_yield(self);
    };
}

TEST_F(WorkloadTest, ACheckNamesAThreadThatStopsRunning) {
    host_.set("check_timeout", "1s");
    host_.set("burners", "0");
    stick_second_thread(host_.services());
    start();
    ASSERT_EQ(text(ask("start", "8")).find("{"), 0u);
    ASSERT_EQ(text(ask("check")).find("{"), 0u);
    g_stuck = true;
    std::string answer;
    for (int i = 0; i < 3 && answer.find("response") != 0; ++i) answer = text(ask("check"));
    g_stuck = false;
    EXPECT_EQ(answer.find("response: of 8 threads 0 starved, 1 lost, 0 run twice; ids: 2; waited for "), 0u) << answer;
    EXPECT_EQ(text(ask("check")).find("{"), 0u) << "it runs again";
    EXPECT_TRUE(module_.stop().ok());
}

TEST_F(WorkloadTest, ACheckThatIsInterruptedBlamesNobody) {
    host_.set("burners", "0");
    Services& services = host_.services();
    stick_second_thread(services);
    static auto wait = services.semaphore_wait;
    services.semaphore_wait = [](InstanceToken* self, SemaphoreId id, uint64_t timeout_ns) -> Result<void> {
        const bool checks = timeout_ns != 0 && timeout_ns != Context::kForever;
        return checks ? Result<void>(ErrorCode::Cancelled) : wait(self, id, timeout_ns);
    };
    start();
    ASSERT_EQ(text(ask("start", "8")).find("{"), 0u);
    g_stuck = true;
    std::string answer;
    for (int i = 0; i < 100 && answer.find("error") != 0; ++i) answer = text(ask("check"));
    g_stuck = false;
    EXPECT_EQ(answer, "error: cancelled");
    EXPECT_TRUE(module_.stop().ok());
}

Result<ThreadId> (*g_create)(InstanceToken*, Text, ThreadEntry, void*, uint32_t);
Result<void> (*g_join)(InstanceToken*, ThreadId);

TEST_F(WorkloadTest, ASlotThatTwoThreadsRunAtOnceIsFound) {
    host_.set("burst", "1000000");
    host_.set("burners", "0");
    // Each thread has a twin with the next number, which takes itself for the same thread.
    Services& services = host_.services();
    g_create = services.thread_create;
    g_join = services.thread_join;
    services.thread_create = [](InstanceToken* self, Text name, ThreadEntry entry, void* argument, uint32_t priority) {
        const auto first = g_create(self, name, entry, argument, priority);
        EXPECT_TRUE(g_create(self, name, entry, argument, priority).ok());
        return first;
    };
    services.thread_current = [](InstanceToken*) { return ThreadId(1); };
    services.thread_join = [](InstanceToken* self, ThreadId id) -> Result<void> {
        TRY(g_join(self, id));
        return g_join(self, ThreadId(static_cast<uint32_t>(id) + 1));
    };
    start();
    ASSERT_EQ(text(ask("start", "1")).find("{"), 0u);
    std::string answer;
    for (int i = 0; i < 1000 && answer.find("response") != 0; ++i) answer = text(ask("check"));
    unsigned twice = 0;
    EXPECT_EQ(std::sscanf(answer.c_str(), "response: of 1 thread 0 starved, 0 lost, %u run twice; ids: slot 0", &twice),
              1)
        << answer;
    EXPECT_GT(twice, 0u) << answer;
    EXPECT_TRUE(module_.stop().ok());
    EXPECT_TRUE(host_.all_threads_ended());
}

}  // namespace

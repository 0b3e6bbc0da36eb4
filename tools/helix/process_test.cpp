// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Children: their output, their end, and that none outlives its time.

#include "process.hpp"

#include "failure.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace helix::tool {
namespace {

using std::chrono::milliseconds;

TEST(RunCaptured, ReturnsOutputAndStatus) {
    const CapturedRun run = run_captured({.arguments = {"sh", "-c", "echo out; echo err >&2; exit 3"}});
    EXPECT_EQ(run.output, "out\nerr\n");
    EXPECT_EQ(run.end.status, 3);
    EXPECT_FALSE(run.end.ok());
}

TEST(RunCaptured, ReportsWhatCannotStart) {
    EXPECT_THROW(run_captured({.arguments = {"/nonexistent/program"}}), Failure);
    EXPECT_THROW(run_captured({.arguments = {"true"}, .directory = "/nonexistent"}), Failure);
}

TEST(RunCaptured, EndsTheWholeGroupInTime) {
    const CapturedRun run = run_captured({.arguments = {"sh", "-c", "sleep 1000 & echo $!; sleep 1000"}},
                                         deadline_after(milliseconds(500)));
    EXPECT_TRUE(run.end.timed_out);
    const pid_t grandchild = static_cast<pid_t>(std::stol(run.output));
    // It is gone or waits as a zombie for init; it takes no signal that would let it run on.
    for (int i = 0; i < 200; ++i) {
        const CapturedRun state = run_captured({.arguments = {"ps", "-o", "stat=", "-p", std::to_string(grandchild)}});
        if (state.output.empty() || state.output.front() == 'Z') return;
    }
    FAIL() << "the grandchild still runs";
}

TEST(RunCaptured, PassesTheEnvironmentOn) {
    const CapturedRun run = run_captured(
        {.arguments = {"sh", "-c", "echo $HELIX_A $HOME"}, .environment = {{"HELIX_A", "b"}, {"HOME", "/h"}}});
    EXPECT_EQ(run.output, "b /h\n");
}

TEST(Child, TalksBothWaysAndKeepsErrorsApart) {
    Child child({.arguments = {"sh", "-c", "read a; echo got $a; echo oops >&2"},
                 .input = ChildInput::Pipe,
                 .output = ChildOutput::Pipe});
    ASSERT_TRUE(child.write("hello\n"));
    EXPECT_EQ(*child.read(deadline_after(milliseconds(5000))), "got hello\n");
    EXPECT_EQ(*child.read(deadline_after(milliseconds(5000))), "");
    EXPECT_TRUE(child.wait({}).ok());
    EXPECT_EQ(child.errors(), "oops\n");
}

/// Whether thread `id` of this process sleeps.
bool sleeps(pid_t id) {
    std::ifstream file("/proc/self/task/" + std::to_string(id) + "/stat");
    std::string stat;
    std::getline(file, stat);
    const size_t name_end = stat.rfind(')');
    return name_end != std::string::npos && stat.size() > name_end + 2 && stat[name_end + 2] == 'S';
}

/// Fills a pipe and makes it standard error: who writes there sleeps from now on.
void block_standard_error() {
    int ends[2];
    if (pipe2(ends, O_NONBLOCK) != 0) _exit(1);
    const std::vector<char> bytes(4096, '.');
    while (write(ends[1], bytes.data(), bytes.size()) > 0 || errno != EAGAIN) {
    }
    fcntl(ends[1], F_SETFL, 0);
    dup2(ends[1], STDERR_FILENO);
}

/// One that waits for a child and, as a test does, says what its end means, unless the tool is about to end.
struct Judge {
    Child child{{.arguments = {"cat"}, .input = ChildInput::Pipe}};
    std::atomic<pid_t> sees_the_end = 0;
    std::atomic<bool> has_verdict = false;

    void judge() {
        child.wait({});
        sees_the_end = gettid();
        halt_if_ending();
        has_verdict = true;
    }
    /// Waits until it has either said something or gone to sleep behind the end of the child.
    void settle() const {
        while (sees_the_end == 0) std::this_thread::yield();
        while (!has_verdict && !sleeps(sees_the_end)) std::this_thread::yield();
    }
};

TEST(EndingSignal, LetsNobodyTakeTheEndOfAChildForAResult) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const auto interrupted = [] {
        const int standard_error = dup(STDERR_FILENO);
        end_children_on_signals();
        say_on_signals("interrupted\n");
        Judge judges[4];
        std::vector<std::jthread> threads;
        for (Judge& judge : judges) threads.emplace_back([&judge] { judge.judge(); });
        const pid_t interrupted_thread = gettid();
        std::atomic<bool> raising = false;
        // Children end by themselves at the very beginning of the handler, while it says farewell to nobody who reads.
        threads.emplace_back([&] {
            while (!raising || !sleeps(interrupted_thread)) std::this_thread::yield();
            for (Judge& judge : judges) judge.child.close_input();
            for (const Judge& judge : judges) judge.settle();
            for (const Judge& judge : judges) dprintf(standard_error, judge.has_verdict ? "verdict\n" : "silence\n");
            kill(getpid(), SIGKILL);
        });
        block_standard_error();
        raising = true;
        raise(SIGINT);
    };
    EXPECT_EXIT(interrupted(), ::testing::KilledBySignal(SIGKILL),
                ::testing::AllOf(::testing::HasSubstr("silence"), ::testing::Not(::testing::HasSubstr("verdict"))));
}

TEST(EndingSignal, SaysFarewellAndEndsTheChildren) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const auto interrupted = [] {
        end_children_on_signals();
        say_on_signals("interrupted\n");
        const Child child({.arguments = {"sleep", "1000"}});
        raise(SIGINT);
    };
    EXPECT_EXIT(interrupted(), ::testing::KilledBySignal(SIGINT), ::testing::HasSubstr("interrupted"));
}

TEST(Child, SaysWhichSignalEndedIt) {
    Child child({.arguments = {"sh", "-c", "kill -9 $$"}});
    const ChildEnd end = child.wait(deadline_after(milliseconds(5000)));
    EXPECT_EQ(end.signal, SIGKILL);
    EXPECT_THAT(end.describe(), ::testing::HasSubstr("signal 9"));
}

}  // namespace
}  // namespace helix::tool

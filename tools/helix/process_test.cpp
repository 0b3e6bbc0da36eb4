// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Children: their output, their end, and that none outlives its time.

#include "process.hpp"

#include "failure.hpp"

#include <gmock/gmock.h>
#include <signal.h>

#include <cstdio>
#include <memory>
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

TEST(EndingSignal, LetsNobodyTakeTheEndOfAChildForAResult) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const auto interrupted = [] {
        end_children_on_signals();
        say_on_signals("interrupted\n");
        // While the handler ends one child after the other, there is time to speak up for the first.
        std::vector<std::jthread> judges;
        for (int i = 0; i < 16; ++i)
            judges.emplace_back([child = std::make_unique<Child>(ChildOptions{.arguments = {"sleep", "1000"}})] {
                child->wait({});
                halt_if_ending();
                std::fputs("verdict\n", stderr);
            });
        raise(SIGINT);
    };
    EXPECT_EXIT(interrupted(), ::testing::KilledBySignal(SIGINT),
                ::testing::AllOf(::testing::HasSubstr("interrupted"), ::testing::Not(::testing::HasSubstr("verdict"))));
}

TEST(Child, SaysWhichSignalEndedIt) {
    Child child({.arguments = {"sh", "-c", "kill -9 $$"}});
    const ChildEnd end = child.wait(deadline_after(milliseconds(5000)));
    EXPECT_EQ(end.signal, SIGKILL);
    EXPECT_THAT(end.describe(), ::testing::HasSubstr("signal 9"));
}

}  // namespace
}  // namespace helix::tool

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The log keeps the newest lines, echoes the important ones, and never waits for itself.
#include "kernel/console/log.hpp"

#include "tests/unit/fake_port.hpp"

#include <csetjmp>
#include <csignal>
#include <memory>
#include <string>

namespace helix::kernel {
namespace {

class LogTest : public test::KernelTest {
protected:
    /// What goes to the console while `action` runs.
    static std::string echoed(auto action) {
        testing::internal::CaptureStderr();
        action();
        return testing::internal::GetCapturedStderr();
    }
    std::string text(uint64_t number) {
        LogLine line;
        if (!log->read(number, line)) return "<gone>";
        return {line.text.data(), line.text.size()};
    }

    std::unique_ptr<Log> log = std::make_unique<Log>();
};

TEST_F(LogTest, EchoesWarningsWithTheTimeSinceBoot) {
    machine.set_time(12'345'678);
    EXPECT_EQ(echoed([&] {
                  log->info("kernel", "not shown {}", 1);
                  log->warning("helix-workload", "{} of {} threads", 3, 4u);
              }),
              "[    0.012345] helix-workload: 3 of 4 threads\n");
    machine.set_time(123'456'000'001'000);
    EXPECT_EQ(echoed([&] { log->error("kernel", "late"); }), "[123456.000001] kernel: late\n");
}

TEST_F(LogTest, EchoLevelComesByName) {
    EXPECT_TRUE(log->set_echo_level("debug").ok());
    EXPECT_EQ(echoed([&] { log->debug("a", "b"); }), "[    0.000000] a: b\n");
    EXPECT_TRUE(log->set_echo_level("error").ok());
    EXPECT_EQ(echoed([&] { log->warning("a", "b"); }), "");
    const auto wrong = log->set_echo_level("loud");
    ASSERT_FALSE(wrong.ok());
    EXPECT_EQ(wrong.error().sentence(), "\"loud\" is not a log level; it is one of debug, info, warning, error");
}

TEST_F(LogTest, KeepsTheNewestLines) {
    for (uint64_t i = 0; i < 1000; ++i) log->info("kernel", "line {}", i);
    EXPECT_EQ(log->first(), 1000 - Log::kLines);
    EXPECT_EQ(log->end(), 1000u);
    EXPECT_EQ(text(1000 - Log::kLines), "line 744");
    EXPECT_EQ(text(999), "line 999");
    EXPECT_EQ(text(743), "<gone>");
    EXPECT_EQ(text(1000), "<gone>");
}

TEST_F(LogTest, CutsLongLinesAndReplacesControlCharacters) {
    const std::string longer(300, 'x');
    log->write(LogLevel::Info, longer, longer);
    LogLine line;
    ASSERT_TRUE(log->read(0, line));
    EXPECT_EQ(line.text.size(), 200u);
    EXPECT_EQ(line.source.size(), 46u);
    log->write(LogLevel::Info, "a", "one\ntwo\x1b[K");
    EXPECT_EQ(text(1), "one two [K");
}

TEST_F(LogTest, HeldEchoFollowsInOrder) {
    EXPECT_EQ(echoed([&] {
                  log->hold_echo();
                  log->hold_echo();
                  log->warning("a", "first");
                  log->info("a", "too unimportant");
                  log->warning("a", "second");
                  log->release_echo();
                  log->warning("a", "third");
              }),
              "");
    EXPECT_EQ(echoed([&] { log->release_echo(); }),
              "[    0.000000] a: first\n[    0.000000] a: second\n[    0.000000] a: third\n");
    EXPECT_EQ(echoed([&] { log->warning("a", "fourth"); }), "[    0.000000] a: fourth\n");
}

TEST_F(LogTest, HeldEchoForgetsWhatTheRingForgot) {
    log->hold_echo();
    for (uint64_t i = 0; i < 2 * Log::kLines; ++i) log->warning("a", "{}", i);
    const std::string text = echoed([&] { log->release_echo(); });
    EXPECT_EQ(text.substr(0, text.find('\n')), "[    0.000000] a: 256");
}

TEST_F(LogTest, RedrawsTheLineThatIsBeingTyped) {
    log->set_input_line("\rhelix> abc");
    EXPECT_EQ(echoed([&] { log->warning("a", "b"); }), "\r\x1b[K[    0.000000] a: b\n\rhelix> abc");
    log->set_input_line({});
    EXPECT_EQ(echoed([&] { log->warning("a", "b"); }), "[    0.000000] a: b\n");
}

sigjmp_buf after_fault;

TEST_F(LogTest, FaultOnABadTextLeavesNothingLocked) {
    // As in the kernel, where a gate around a module's bad pointer takes control away from the middle of write.
    const auto previous = std::signal(SIGSEGV, [](int) { siglongjmp(after_fault, 1); });
    if (sigsetjmp(after_fault, 1) == 0) log->write(LogLevel::Info, "a", Text(reinterpret_cast<const char*>(8), 100));
    std::signal(SIGSEGV, previous);
    EXPECT_EQ(log->end(), 0u);
    log->info("a", "still here");
    EXPECT_EQ(text(0), "still here");
}

TEST_F(LogTest, LineWrittenFromInsideTheLogIsDroppedAndCounted) {
    // The clock is read before the log is locked, the console written while it is: interrupt the latter.
    static Log* inside;
    inside = log.get();
    struct sigaction action{};
    action.sa_handler = [](int) { inside->error("fault handler", "in the middle of an echo"); };
    struct sigaction previous{};
    ASSERT_EQ(sigaction(SIGPIPE, &action, &previous), 0);
    // stderr becomes a pipe that nobody reads: writing to it raises SIGPIPE inside the echo.
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const int saved = dup(2);
    dup2(ends[1], 2);
    close(ends[0]);
    close(ends[1]);
    log->warning("a", "echoed into nothing");
    dup2(saved, 2);
    close(saved);
    sigaction(SIGPIPE, &previous, nullptr);
    clearerr(stderr);
    EXPECT_EQ(log->dropped(), 1u);
    EXPECT_EQ(log->end(), 1u);
    EXPECT_EQ(text(0), "echoed into nothing");
}

}  // namespace
}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Each way to fail really is the failure that its name says: seen as the signal that ends a process of its own.

#include "../host_services.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <new>
#include <string>

#undef HELIX_MODULE
#define HELIX_MODULE(Class)
#include "crasher.cpp"

namespace {
using namespace helix;

class CrasherTest : public ::testing::Test {
protected:
    void SetUp() override { host_.declare(Crasher::kOptions); }
    void start() {
        ASSERT_TRUE(module_.init(host_.context()).ok());
        ASSERT_TRUE(module_.start().ok());
    }
    Result<Response> ask(Text type, Text payload = {}) {
        return module_.handle_request({InstanceId::None, type, as_bytes(payload)});
    }
    /// In a process of its own, with little memory and stack; the endless loop has one second.
    void fail(const char* how) {
        const rlimit space{uint64_t{1} << 30, uint64_t{1} << 30};
        setrlimit(RLIMIT_AS, &space);
        const rlimit stack{256 * 1024, 256 * 1024};
        setrlimit(RLIMIT_STACK, &stack);
        const rlimit no_core{0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        std::set_new_handler(std::abort);  // as the runtime of modules does
        alarm(Text::from_c_string(how) == "loop" ? 1 : 60);
        (void)ask(Text::from_c_string(how)).ok();
    }

    test_support::HostServices host_;
    Crasher module_;
};

TEST_F(CrasherTest, EachWayToFailIsWhatItsNameSays) {
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    GTEST_SKIP() << "a sanitizer catches these signals itself";
#endif
    ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
    host_.services().subscribe = [](InstanceToken*, uint32_t, Text) { return Result<void>(); };
    const struct {
        const char* how;
        int signal;
    } kWays[] = {{"null", SIGSEGV},
                 {"divide", SIGFPE},
                 {"ud2", SIGILL},
                 {"noncanonical", SIGSEGV},
                 {"write_text", SIGSEGV},
                 {"execute_data", SIGSEGV},
                 {"loop", SIGALRM},
                 {"stack_overflow", SIGSEGV},
                 {"abort", SIGABRT},
                 {"exhaust_memory", SIGABRT},
                 {"creeping_overflow", SIGSEGV},
                 {"interrupts_off", SIGSEGV},
                 {"halt", SIGSEGV},
                 {"services_without_interrupts", SIGSEGV},
                 {"double_fault", SIGSEGV},
                 {"foreign_token", SIGABRT},
                 {"foreign_handle", SIGSEGV},
                 // No count is kept for this thread: its word is at address 0.
                 {"preemption_off", SIGSEGV},
                 {"preemption_on", SIGSEGV}};
    static_assert(sizeof(kWays) / sizeof(kWays[0]) == sizeof(kHows) / sizeof(kHows[0]));
    start();
    for (const auto& way : kWays) {
        EXPECT_EXIT(fail(way.how), ::testing::KilledBySignal(way.signal), "") << way.how;
    }
}

TEST_F(CrasherTest, UnarmedItServes) {
    host_.services().subscribe = [](InstanceToken*, uint32_t, Text) { return Result<void>(); };
    start();
    auto answer = ask("ping");
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(answer.value().payload().text(), Text("pong"));
    EXPECT_TRUE(module_.is_healthy());
    EXPECT_FALSE(ask("arm", "nowhere ud2").ok());
    EXPECT_FALSE(ask("arm", "stop gently").ok());
    EXPECT_FALSE(ask("dance").ok());
    EXPECT_TRUE(module_.stop().ok());
}

TEST_F(CrasherTest, AnOptionOfNoMeaningFailsInit) {
    host_.set("where", "elsewhere");
    const auto result = module_.init(host_.context());
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().sentence(), Text("\"elsewhere\" is no entry point to fail in"));
}

}  // namespace

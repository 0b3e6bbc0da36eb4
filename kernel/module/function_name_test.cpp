// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Symbols of C++ become names that a person reads; anything else stays as it is.
#include "kernel/module/function_name.hpp"

#include <gtest/gtest.h>

#include <string>

namespace helix::kernel {
namespace {

std::string read(const char* symbol) {
    const FixedText<120> name = function_name(Text::from_c_string(symbol));
    return {name.data(), name.size()};
}

TEST(FunctionName, ReadsNamesWithinNames) {
    EXPECT_EQ(read("_ZNK7Crasher5crashEj"), "Crasher::crash");
    EXPECT_EQ(read("_Z5creepm"), "creep");
    EXPECT_EQ(read("_ZL5creepm"), "creep");
    EXPECT_EQ(read("_ZN12_GLOBAL__N_17recurseEm"), "recurse");
    EXPECT_EQ(read("_ZNSt6thread4joinEv"), "std::thread::join");
    EXPECT_EQ(read("_ZThn8_N16SchedulerCrashes9pick_nextERN5helix12SchedulerCpuE"), "SchedulerCrashes::pick_next");
    EXPECT_EQ(read("_ZTv0_n24_N1A1fEv"), "A::f");
    EXPECT_EQ(read("_ZN7CrasherC2Ev"), "Crasher::Crasher");
    EXPECT_EQ(read("_ZN5helix4test7CrasherD0Ev"), "helix::test::Crasher::~Crasher");
    EXPECT_EQ(read("_ZZN7Crasher15crash_in_threadEjENUlPvE_8__invokeES1_"), "Crasher::crash_in_thread::{local}");
}

TEST(FunctionName, LeavesWhatItDoesNotRead) {
    for (const char* symbol :
         {"", "main", "_Z", "_ZN", "_ZNE", "_ZN1E", "_ZN0E", "_ZN9shortE", "_ZNC1Ev", "_ZN12_GLOBAL__N_1E",
          "_ZN1A1fIiEEvT_", "_ZplRK1AS1_", "_ZN99999999999999999999999999999999A", "_ZTh", "_ZTv1_"})
        EXPECT_EQ(read(symbol), symbol);
}

TEST(FunctionName, CutsWhatIsTooLong) {
    const std::string part = "_Z200" + std::string(200, 'x');
    EXPECT_EQ(read(part.c_str()), std::string(120, 'x'));
    const std::string other(200, 'y');
    EXPECT_EQ(read(other.c_str()), std::string(120, 'y'));
}

}  // namespace
}  // namespace helix::kernel

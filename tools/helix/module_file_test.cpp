// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Reading module files, good ones and files that were damaged at every place.

#include "module_file.hpp"

#include "failure.hpp"
#include "files.hpp"

#include <gmock/gmock.h>

#include <random>

namespace helix::tool {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ModuleFile built(const std::string& name) {
    return read_module_file(HELIX_MODULE_DIRECTORY "/" + name + ".hmod");
}

TEST(ModuleFile, SaysAllWithoutRunningAnyOfIt) {
    const ModuleFile file = built("helix-scheduler-round-robin");
    EXPECT_EQ(file.name(), "helix-scheduler-round-robin");
    EXPECT_TRUE(file.refusal.empty()) << file.refusal;
    EXPECT_TRUE(file.implements("helix.scheduler"));
    EXPECT_FALSE(file.implements("helix.allocator"));
    ASSERT_NE(file.option("time_slice_ms"), nullptr);
    EXPECT_EQ(file.option("time_slice_ms")->type, OptionType::Integer);
    EXPECT_EQ(file.option("nothing"), nullptr);
    EXPECT_TRUE(file.undefined_symbols.empty());
    ASSERT_EQ(file.relocations.size(), 1u);
    EXPECT_EQ(file.relocations.begin()->first, "R_X86_64_RELATIVE");
    EXPECT_THAT(flag_names(file.info.flags()), ElementsAre("HotReloadable", "Scheduler"));
}

TEST(ModuleFile, ShowsWhatTheKernelRefuses) {
    const ModuleFile file = built("wrong-abi");
    EXPECT_TRUE(file.described);
    EXPECT_THAT(file.refusal, HasSubstr("ABI version"));
}

TEST(ModuleFile, RefusesWhatIsNoModule) {
    EXPECT_THROW(parse_module_file("", "x"), Failure);
    EXPECT_THROW(parse_module_file("#!/bin/sh\n", "x"), Failure);
    EXPECT_THROW(read_module_file("/proc/self/exe"), Failure);
    EXPECT_THROW(read_module_file("/nonexistent"), Failure);
}

TEST(ModuleFile, SurvivesEveryTruncation) {
    const std::string whole = read_file(HELIX_MODULE_DIRECTORY "/template.hmod");
    size_t refused = 0;
    for (size_t size = 0; size < whole.size(); size += 97) {
        try {
            refused += !parse_module_file(whole.substr(0, size), "x").refusal.empty();
        } catch (const Failure&) {
            ++refused;
        }
    }
    EXPECT_GT(refused, 20u);
}

TEST(ModuleFile, SurvivesRandomDamage) {
    const std::string whole = read_file(HELIX_MODULE_DIRECTORY "/template.hmod");
    for (uint32_t seed = 1; seed <= 2000; ++seed) {
        std::mt19937 random(seed);
        std::string damaged = whole;
        for (int i = 0; i < 8; ++i) damaged[random() % 16384 % damaged.size()] = static_cast<char>(random());
        try {
            parse_module_file(std::move(damaged), "x");
        } catch (const Failure& failure) {
            EXPECT_EQ(std::string_view(failure.what()).substr(0, 3), "x: ");
        }
    }
}

}  // namespace
}  // namespace helix::tool

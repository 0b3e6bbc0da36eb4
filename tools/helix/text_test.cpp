// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Distances, suggestions, filters and shell quoting.

#include "text.hpp"

#include <gmock/gmock.h>

namespace helix::tool {
namespace {

TEST(EditDistance, CountsInsertionsDeletionsSubstitutionsAndExchanges) {
    EXPECT_EQ(edit_distance("", "abc"), 3u);
    EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
    EXPECT_EQ(edit_distance("swpa", "swap"), 1u);
    EXPECT_EQ(edit_distance("same", "same"), 0u);
}

TEST(Nearest, OffersOnlyWhatMayBeMeant) {
    const std::vector<std::string> names{"heap_size_kb", "stack_size_kb", "min_ram_mb"};
    EXPECT_EQ(nearest("heap_size", names), "heap_size_kb");
    EXPECT_EQ(nearest("min_ram", names), "min_ram_mb");
    EXPECT_EQ(nearest("color", names), "");
    // Of two that are equally near the longer one: letters are left out more often than added.
    EXPECT_EQ(nearest("moduls", {"module", "modules"}), "modules");
    EXPECT_EQ(nearest("moduls", {"modules", "module"}), "modules");
    EXPECT_EQ(did_you_mean("hep_size_kb", names), "; did you mean \"heap_size_kb\"?");
}

TEST(NearestByPart, FindsNamesByWhatTheyHaveInThem) {
    const std::vector<std::string> names{"thread.switch", "guest.switch_pair", "boot.spawn_to_prompt", "hold.locks"};
    EXPECT_THAT(nearest_by_part("swich", names), ::testing::ElementsAre("thread.switch", "guest.switch_pair"));
    EXPECT_THAT(nearest_by_part("spawn_to_promt", names), ::testing::ElementsAre("boot.spawn_to_prompt"));
    EXPECT_THAT(nearest_by_part("guest.swich", names), ::testing::ElementsAre("guest.switch_pair"));
    EXPECT_THAT(nearest_by_part("colour", names), ::testing::IsEmpty());
}

TEST(Counted, SaysOneOrMany) {
    EXPECT_EQ(counted(0, "thread"), "0 threads");
    EXPECT_EQ(counted(1, "thread"), "1 thread");
    EXPECT_EQ(counted(2, "thread"), "2 threads");
}

TEST(MatchesFilter, TakesPartsAndPatterns) {
    EXPECT_TRUE(matches_filter("system/swap@hosted", ""));
    EXPECT_TRUE(matches_filter("system/swap@hosted", "swap"));
    EXPECT_TRUE(matches_filter("system/swap@hosted", "system/*@hosted"));
    EXPECT_FALSE(matches_filter("system/swap@hosted", "swap*"));
    EXPECT_TRUE(matches_filter("ab", "a?"));
    EXPECT_FALSE(matches_filter("boot/x", "system"));
}

TEST(ShellQuote, SurvivesAShell) {
    EXPECT_EQ(shell_quote("plain-1.0"), "plain-1.0");
    EXPECT_EQ(shell_quote("a b"), "'a b'");
    EXPECT_EQ(shell_quote("it's"), "'it'\\''s'");
    EXPECT_EQ(shell_quote(""), "''");
}

TEST(Words, SplitsAtBlanksAndCommas) {
    EXPECT_THAT(words(" a, b  c\t"), ::testing::ElementsAre("a", "b", "c"));
    EXPECT_THAT(words(""), ::testing::IsEmpty());
}

}  // namespace
}  // namespace helix::tool

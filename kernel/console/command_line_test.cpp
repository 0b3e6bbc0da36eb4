// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Command lines split as documented, for every kind of quoting, and never run out of their storage.
#include "kernel/console/command_line.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace helix::kernel {
namespace {

using Words = std::vector<std::string>;

/// All commands of `line`, or one command that holds the sentence of the error.
std::vector<Words> split(const std::string& line) {
    std::vector<Words> commands;
    std::vector<char> storage(line.size());
    Text rest(line);
    while (!rest.empty()) {
        CommandWords words;
        const auto taken = split_command(rest, Span<char>(storage), words);
        if (!taken.ok()) return {{std::string(std::string_view(taken.error().sentence()))}};
        EXPECT_GT(taken.value(), 0u);
        if (words.count > 0) {
            Words& out = commands.emplace_back();
            for (size_t i = 0; i < words.count; ++i) out.emplace_back(words.words[i].data(), words.words[i].size());
        }
        rest = rest.substr(taken.value());
    }
    return commands;
}

TEST(CommandLine, SplitsAndUnquotes) {
    struct Case {
        const char* line;
        std::vector<Words> expected;
    };
    const Case cases[] = {
        {"", {}},
        {" \t ", {}},
        {"help", {{"help"}}},
        {"  load   a.hmod ", {{"load", "a.hmod"}}},
        {"modules; threads --json", {{"modules"}, {"threads", "--json"}}},
        {";;help;;", {{"help"}}},
        {"one\ntwo\r\nthree", {{"one"}, {"two"}, {"three"}}},
        {"echo 'a b; \"c\" \\n'", {{"echo", "a b; \"c\" \\n"}}},
        {"echo \"a 'b' \\\" \\\\ ;\"", {{"echo", "a 'b' \" \\ ;"}}},
        {"echo a\\ b\\;c", {{"echo", "a b;c"}}},
        {"echo pre'mid'\"post\"", {{"echo", "premidpost"}}},
        {"request m t ''", {{"request", "m", "t", ""}}},
        {"# nothing\nhelp # the rest; is comment\nend#ed", {{"help"}, {"end#ed"}}},
    };
    for (const Case& c : cases) EXPECT_EQ(split(c.line), c.expected) << c.line;
}

TEST(CommandLine, SaysWhatIsWrong) {
    EXPECT_EQ(split("echo 'a"), (std::vector<Words>{{"a quote ' is not closed; end it or write \\'"}}));
    EXPECT_EQ(split("echo \"a\\"), (std::vector<Words>{{"a quote \" is not closed; end it or write \\\""}}));
    EXPECT_EQ(split("echo \\"),
              (std::vector<Words>{{"a backslash at the end takes no character; write \\\\ for one"}}));
    std::string many = "echo";
    for (int i = 0; i < 24; ++i) many += " x";
    EXPECT_EQ(split(many), (std::vector<Words>{{"a command has at most 24 words; quote those that belong together"}}));
}

TEST(CommandLine, TerminatesWithinItsStorageOnAnyBytes) {
    std::mt19937 random(1);
    const std::string alphabet = "ab \t;'\"\\#\n\r\x01\xff";
    for (int round = 0; round < 20'000; ++round) {
        std::string line;
        for (size_t length = random() % 40; length > 0; --length) line += alphabet[random() % alphabet.size()];
        // Storage of exactly the line's size, on the heap: an overrun is seen by AddressSanitizer.
        split(line);
    }
}

TEST(EditDistance, CountsInsertionsDeletionsSubstitutionsAndExchanges) {
    EXPECT_EQ(edit_distance("", ""), 0u);
    EXPECT_EQ(edit_distance("abc", ""), 3u);
    EXPECT_EQ(edit_distance("modules", "modules"), 0u);
    EXPECT_EQ(edit_distance("modlues", "modules"), 1u);
    EXPECT_EQ(edit_distance("module", "modules"), 1u);
    EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
    EXPECT_EQ(edit_distance("ca", "abc"), 3u);
}

TEST(Nearest, KeepsTheNearestAndNothingFarAway) {
    Nearest nearest("modlues");
    for (const char* name : {"help", "module", "modules", "memory"}) nearest.offer(Text::from_c_string(name));
    EXPECT_EQ(nearest.best(), "modules");
    Nearest none("xyzzy");
    for (const char* name : {"help", "modules", "memory"}) none.offer(Text::from_c_string(name));
    EXPECT_TRUE(none.best().empty());
    Nearest other("bogus");
    other.offer("cpus");
    EXPECT_TRUE(other.best().empty());
    Nearest beginning("time_slise");
    beginning.offer("time_slice_ms");
    EXPECT_EQ(beginning.best(), "time_slice_ms");
}

}  // namespace
}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Text: what it is made from, and how it is ordered.

#include "helix/types.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace {
using namespace helix;

TEST(Text, ALiteralIsTextAndAnArrayThatIsFilledAtRunTimeIsNot) {
    EXPECT_EQ(Text("abc").size(), 3u);
    static_assert(std::is_constructible_v<Text, const char(&)[24]>);
    static_assert(!std::is_constructible_v<Text, char(&)[24]>);
    static_assert(!std::is_constructible_v<FixedText<24>, char(&)[24]>);
    char array[24] = "abc";
    EXPECT_EQ(Text::from_c_string(array, sizeof(array)), Text("abc"));
}

TEST(Text, IsOrderedAsAStringView) {
    std::vector<std::string_view> expected = {"", "a", "ab", "b", "\xc3\xa9", "B", "abc"};
    std::vector<Text> sorted(expected.begin(), expected.end());
    std::sort(expected.begin(), expected.end());
    std::sort(sorted.begin(), sorted.end());
    ASSERT_EQ(sorted.size(), expected.size());
    for (size_t i = 0; i < sorted.size(); ++i) EXPECT_EQ(sorted[i], Text(expected[i])) << i;
}

}  // namespace

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Versions, ranges and requirements.

#include "kernel/module/version_range.hpp"

#include <gtest/gtest.h>

#include <string>

namespace helix::kernel {
namespace {

TEST(Version, ParsesOneToThreeNumbers) {
    EXPECT_EQ(parse_version("1").value(), (Version{1, 0, 0}));
    EXPECT_EQ(parse_version("1.2").value(), (Version{1, 2, 0}));
    EXPECT_EQ(parse_version("65535.0.65535").value(), (Version{65535, 0, 65535}));
}

TEST(Version, RefusesEverythingElse) {
    for (const char* text : {"", ".", "1.", ".1", "1..2", "1.2.3.4", "65536", "1.99999999999999999999", "a", "1.x",
                             " 1", "1 ", "-1", "+1", "01", "1.02", "1.2.3-beta"}) {
        const Result<Version> version = parse_version(Text::from_c_string(text));
        ASSERT_FALSE(version.ok()) << text;
        EXPECT_EQ(version.error().code(), ErrorCode::InvalidArgument);
    }
}

struct RangeCase {
    const char* range;
    Version version;
    bool contained;
};

class RangeTest : public testing::TestWithParam<RangeCase> {};

TEST_P(RangeTest, ContainsWhatItSays) {
    const auto& [text, version, contained] = GetParam();
    const Result<VersionRange> range = VersionRange::parse(Text::from_c_string(text));
    ASSERT_TRUE(range.ok()) << std::string(range.error().sentence());
    EXPECT_EQ(range.value().contains(version), contained)
        << text << " and " << version.major << '.' << version.minor << '.' << version.patch;
}

INSTANTIATE_TEST_SUITE_P(Comparators, RangeTest,
                         testing::Values(RangeCase{">=1.2", {1, 2, 0}, true}, RangeCase{">=1.2", {1, 1, 65535}, false},
                                         RangeCase{">=1.2", {9, 0, 0}, true}, RangeCase{">1.2", {1, 2, 7}, false},
                                         RangeCase{">1.2", {1, 3, 0}, true}, RangeCase{">1.2.3", {1, 2, 3}, false},
                                         RangeCase{">1.2.3", {1, 2, 4}, true}, RangeCase{"<2", {1, 65535, 65535}, true},
                                         RangeCase{"<2", {2, 0, 0}, false}, RangeCase{"<=1.2", {1, 2, 9}, true},
                                         RangeCase{"<=1.2", {1, 3, 0}, false}, RangeCase{"<=1.2.3", {1, 2, 3}, true},
                                         RangeCase{"<=1.2.3", {1, 2, 4}, false}, RangeCase{"=1.2", {1, 2, 5}, true},
                                         RangeCase{"=1.2", {1, 3, 0}, false}, RangeCase{"1.2", {1, 2, 5}, true},
                                         RangeCase{"1.2", {1, 1, 5}, false}, RangeCase{"1.2.3", {1, 2, 3}, true},
                                         RangeCase{"1.2.3", {1, 2, 4}, false}, RangeCase{"1", {1, 65535, 65535}, true},
                                         RangeCase{"1", {2, 0, 0}, false}, RangeCase{"^1.2.3", {1, 9, 0}, true},
                                         RangeCase{"^1.2.3", {1, 2, 2}, false}, RangeCase{"^1.2.3", {2, 0, 0}, false},
                                         RangeCase{"^0.2.3", {0, 2, 9}, true}, RangeCase{"^0.2.3", {0, 3, 0}, false},
                                         RangeCase{"^0.0.3", {0, 0, 3}, true}, RangeCase{"^0.0.3", {0, 0, 4}, false},
                                         RangeCase{"^0.0", {0, 0, 9}, true}, RangeCase{"^0.0", {0, 1, 0}, false},
                                         RangeCase{"^0", {0, 9, 9}, true}, RangeCase{"^0", {1, 0, 0}, false},
                                         RangeCase{"^0.65535", {0, 65535, 1}, true},
                                         RangeCase{"^0.65535", {1, 0, 0}, false}, RangeCase{"~1.2.3", {1, 2, 9}, true},
                                         RangeCase{"~1.2.3", {1, 3, 0}, false}, RangeCase{"~1.2", {1, 2, 0}, true},
                                         RangeCase{"~1.2", {1, 3, 0}, false}, RangeCase{"~1", {1, 9, 0}, true},
                                         RangeCase{"~1", {2, 0, 0}, false},
                                         RangeCase{">=65535.65535.65535", {65535, 65535, 65535}, true}));

INSTANTIATE_TEST_SUITE_P(Lists, RangeTest,
                         testing::Values(RangeCase{">=1.2, <2", {1, 2, 0}, true},
                                         RangeCase{">=1.2, <2", {2, 0, 0}, false},
                                         RangeCase{">=1.2 <2", {1, 9, 0}, true}, RangeCase{">=1.2,<2", {1, 9, 0}, true},
                                         RangeCase{">= 1.2 , < 2", {1, 9, 0}, true},
                                         RangeCase{">=1.2<2", {2, 0, 0}, false}, RangeCase{"  >=1  ", {1, 0, 0}, true},
                                         RangeCase{">=1 <9 >=2 <8", {2, 0, 0}, true},
                                         RangeCase{">=1 <9 >=2 <8", {8, 0, 0}, false}));

TEST(VersionRange, RefusesWhatIsNoRange) {
    for (const char* text : {"", "  ", ",", ">=", ">= , 1", "1,,2", ",1", "1,", ">>1", "=>1", "==1", "!1", ">=1.x",
                             ">=1 >=1 >=1 >=1 >=1", "<1, >=1", ">1 <1.0.1", "<0", ">65535"}) {
        const Result<VersionRange> range = VersionRange::parse(Text::from_c_string(text));
        ASSERT_FALSE(range.ok()) << text;
        EXPECT_EQ(range.error().code(), ErrorCode::InvalidArgument);
    }
}

TEST(VersionRange, DefaultHoldsEveryVersion) {
    static_assert(VersionRange().contains({0, 0, 0}) && VersionRange().contains({65535, 65535, 65535}));
}

TEST(Requirement, SplitsNameAndRange) {
    const Result<Requirement> requirement = Requirement::parse("helix-execution >=1.2, <2");
    ASSERT_TRUE(requirement.ok());
    EXPECT_EQ(requirement.value().name, Text("helix-execution"));
    EXPECT_TRUE(requirement.value().has_range);
    EXPECT_TRUE(requirement.value().range.contains({1, 5, 0}));
    EXPECT_FALSE(requirement.value().range.contains({2, 0, 0}));
}

TEST(Requirement, NameAloneTakesEveryVersion) {
    const Result<Requirement> requirement = Requirement::parse("helix.scheduler");
    ASSERT_TRUE(requirement.ok());
    EXPECT_FALSE(requirement.value().has_range);
    EXPECT_TRUE(requirement.value().range.contains({0, 0, 0}));
}

TEST(Requirement, RefusesBadNamesAndRanges) {
    for (const char* text : {"", ">=1", " a", "-a", ".a", "a/b", "a\nb", "a, >=1", "a >=", "a b",
                             "a123456789012345678901234567890123456789012345x"}) {
        const Result<Requirement> requirement = Requirement::parse(Text::from_c_string(text));
        ASSERT_FALSE(requirement.ok()) << text;
        EXPECT_EQ(requirement.error().code(), ErrorCode::InvalidArgument);
    }
}

}  // namespace
}  // namespace helix::kernel

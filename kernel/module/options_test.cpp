// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Types and ranges of option values.

#include "kernel/module/options.hpp"

#include <gtest/gtest.h>

#include <string>

namespace helix::kernel {
namespace {

constexpr Option kInteger = Option::integer("count", 1, 1000, 10, "A count");
constexpr Option kSigned = Option::integer("offset", -5, 5, 0, "An offset");
constexpr Option kBoolean = Option::boolean("on", true, "A switch");
constexpr Option kSize = Option::size("cache", 4096, 1 << 20, "64K", "A size");
constexpr Option kDuration = Option::duration("slice", 1000000, 1000000000, "10ms", "A duration");
constexpr Option kString = Option::string("label", "", "A text");

struct OptionCase {
    const Option* option;
    const char* value;
    ErrorCode expected;  ///< 0: accepted
};

class OptionTest : public testing::TestWithParam<OptionCase> {};

TEST_P(OptionTest, Checks) {
    const auto& [option, value, expected] = GetParam();
    const Result<void> result = check_option(*option, Text::from_c_string(value));
    EXPECT_EQ(result.ok() ? ErrorCode{} : result.error().code(), expected)
        << std::string(option->key.text()) << ' ' << value;
}

constexpr ErrorCode kFine{};
INSTANTIATE_TEST_SUITE_P(
    All, OptionTest,
    testing::Values(
        OptionCase{&kInteger, "1", kFine}, OptionCase{&kInteger, "1000", kFine},
        OptionCase{&kInteger, "0", ErrorCode::OutOfRange}, OptionCase{&kInteger, "1001", ErrorCode::OutOfRange},
        OptionCase{&kInteger, "-1", ErrorCode::OutOfRange}, OptionCase{&kInteger, "", ErrorCode::InvalidArgument},
        OptionCase{&kInteger, "ten", ErrorCode::InvalidArgument},
        OptionCase{&kInteger, "1.5", ErrorCode::InvalidArgument},
        OptionCase{&kInteger, "99999999999999999999", ErrorCode::InvalidArgument}, OptionCase{&kSigned, "-5", kFine},
        OptionCase{&kSigned, "-6", ErrorCode::OutOfRange}, OptionCase{&kBoolean, "true", kFine},
        OptionCase{&kBoolean, "false", kFine}, OptionCase{&kBoolean, "yes", ErrorCode::InvalidArgument},
        OptionCase{&kSize, "4K", kFine}, OptionCase{&kSize, "1M", kFine},
        OptionCase{&kSize, "4095", ErrorCode::OutOfRange}, OptionCase{&kSize, "2M", ErrorCode::OutOfRange},
        OptionCase{&kSize, "18446744073709551615", ErrorCode::OutOfRange},
        OptionCase{&kSize, "4KB", ErrorCode::InvalidArgument}, OptionCase{&kDuration, "1ms", kFine},
        OptionCase{&kDuration, "1s", kFine}, OptionCase{&kDuration, "999us", ErrorCode::OutOfRange},
        OptionCase{&kDuration, "10", ErrorCode::InvalidArgument}, OptionCase{&kString, "", kFine},
        OptionCase{&kString, "gr\u00fcn", kFine}, OptionCase{&kString, "a\nb", ErrorCode::InvalidArgument},
        OptionCase{&kString, "\xff", ErrorCode::InvalidArgument}));

TEST(Option, SentencesSayWhatWouldBeRight) {
    const auto sentence = [](const Option& option, const char* value) {
        return std::string(check_option(option, Text::from_c_string(value)).error().sentence());
    };
    EXPECT_EQ(sentence(kInteger, "0"), "option count: \"0\" is out of range; it takes an integer from 1 to 1000");
    EXPECT_EQ(sentence(kBoolean, "1"), "option on: \"1\" is not valid; it takes true or false");
    EXPECT_EQ(
        sentence(kSize, "1"),
        "option cache: \"1\" is out of range; it takes a size in bytes, with an optional K, M or G, from 4K to 1M");
    EXPECT_EQ(sentence(kDuration, "5"),
              "option slice: \"5\" is not valid; it takes a duration with ns, us, ms or s from 1ms to 1s");
}

TEST(Option, AnUnknownTypeTakesNothing) {
    Option option = kString;
    option.type = static_cast<OptionType>(77);
    EXPECT_EQ(check_option(option, "x").error().code(), ErrorCode::InvalidArgument);
}

}  // namespace
}  // namespace helix::kernel

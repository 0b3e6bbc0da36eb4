// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Result and std::expected become each other, with value or error.
#include "helix/result.hpp"

#include <gtest/gtest.h>

#include <expected>
#include <memory>

namespace helix {
namespace {

template <typename T>
using Expected = std::expected<T, Error>;

Result<int> result_of(Expected<int> expected) {
    return expected;
}
Expected<int> expected_of(Result<int> result) {
    return std::move(result);
}

TEST(ResultAndExpected, CarryAValueBothWays) {
    EXPECT_EQ(result_of(4).value(), 4);
    EXPECT_EQ(expected_of(5).value(), 5);
    static_assert(Result<int>(Expected<int>(3)).value() == 3);
    static_assert(Expected<int>(Result<int>(3)).value() == 3);
}

TEST(ResultAndExpected, CarryAnErrorBothWays) {
    const Error busy(ErrorCode::Busy, "it is busy");
    EXPECT_EQ(result_of(std::unexpected(busy)).error().sentence(), "it is busy");
    const Expected<int> expected = expected_of(busy);
    ASSERT_FALSE(expected.has_value());
    EXPECT_EQ(expected.error().code(), ErrorCode::Busy);
    EXPECT_EQ(expected.error().sentence(), "it is busy");
}

TEST(ResultAndExpected, CarryACodeAlone) {
    const std::expected<int, ErrorCode> expected = Result<int>(ErrorCode::NotFound);
    EXPECT_EQ(expected.error(), ErrorCode::NotFound);
    const Result<int> result = expected;
    EXPECT_EQ(result.error().sentence(), "not found");
}

TEST(ResultAndExpected, CarryNothing) {
    const Expected<void> good = Result<void>();
    EXPECT_TRUE(good.has_value());
    const Expected<void> bad = Result<void>(ErrorCode::Busy);
    EXPECT_EQ(bad.error().code(), ErrorCode::Busy);
    EXPECT_TRUE(Result<void>(good).ok());
    EXPECT_EQ(Result<void>(bad).error().code(), ErrorCode::Busy);
}

TEST(ResultAndExpected, TakeNoSuccessForTheValueTrue) {
    const Expected<bool> copied = Result<bool>(false);
    EXPECT_FALSE(copied.value());
    const Expected<bool> made{Result<bool>(false)};
    EXPECT_FALSE(made.value());
    const Expected<bool> failed{Result<bool>(ErrorCode::Busy)};
    EXPECT_FALSE(failed.has_value());
    const Result<bool> result = copied;
    EXPECT_TRUE(result.ok());
    EXPECT_FALSE(result.value());
    static_assert(!std::is_constructible_v<bool, Result<bool>>);
}

TEST(ResultAndExpected, MoveWhatCannotBeCopied) {
    Expected<std::unique_ptr<int>> expected = Result<std::unique_ptr<int>>(std::make_unique<int>(3));
    Result<std::unique_ptr<int>> result = std::move(expected);
    EXPECT_EQ(*result.value(), 3);
}

TEST(ResultAndExpected, KeepToOneTypeOfValueAndError) {
    static_assert(!std::is_constructible_v<Result<int>, Expected<long>>);
    static_assert(!std::is_convertible_v<Result<int>, Expected<long>>);
    static_assert(!std::is_constructible_v<Result<int>, std::expected<int, long>>);
}

}  // namespace
}  // namespace helix

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What an interface says of its pure methods: what their arguments and answers look like, and which are left out.
#include "helix/method_shape.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace helix::test {

struct Pair {
    uint64_t a;
    uint64_t b;
};
struct Padded {
    uint8_t a;
    uint64_t b;
};

class Shown {
public:
    virtual void change(uint64_t) = 0;
    virtual uint32_t number(uint8_t, Pair) const = 0;
    virtual Result<void> fill(Text, MutableBytes) = 0;
    virtual Result<Pair> pair(Span<const uint32_t>) = 0;
    virtual Text text() = 0;
    virtual Padded padded() = 0;
    virtual uint64_t by_reference(const uint64_t&) = 0;
    virtual uint64_t by_pointer(const uint64_t*) = 0;
    virtual void silent(uint64_t) = 0;
    virtual uint64_t serialised() = 0;

protected:
    ~Shown() = default;
};

}  // namespace helix::test

template <>
struct helix::InterfaceTraits<helix::test::Shown> {
    using Shown = helix::test::Shown;
    static constexpr InterfaceId kId{"test.shown", 1, 0};
    static constexpr auto kPure = MethodTraits::Blocking | MethodTraits::Pure;
    static constexpr auto kMethods =
        methods(MethodEntry<&Shown::change>{"change", MethodTraits::Blocking},
                MethodEntry<&Shown::text>{"text", MethodTraits::Bounded | MethodTraits::Pure},
                MethodEntry<&Shown::number>{"number", kPure}, MethodEntry<&Shown::fill>{"fill", kPure},
                MethodEntry<&Shown::pair>{"pair", kPure}, MethodEntry<&Shown::padded>{"padded", kPure},
                MethodEntry<&Shown::by_reference>{"by_reference", kPure},
                MethodEntry<&Shown::by_pointer>{"by_pointer", kPure}, MethodEntry<&Shown::silent>{"silent", kPure},
                MethodEntry<&Shown::serialised>{"serialised", kPure | MethodTraits::Serialised});
};

namespace helix {
namespace {

using test::Pair;
using test::Shown;

std::vector<MethodShape> shapes() {
    constexpr auto& kList = InterfaceTraits<Shown>::kMethods;
    std::vector<MethodShape> out(detail::count_pure(kList));
    detail::describe_pure(out.data(), kList);
    return out;
}
const MethodShape& shape_of(const std::vector<MethodShape>& all, Text name) {
    for (const MethodShape& shape : all)
        if (shape.name == name) return shape;
    ADD_FAILURE() << std::string(name) << " is not there";
    return all[0];
}

TEST(MethodShape, OnlyPureMethodsThatCanBeAskedAndComparedAreThere) {
    std::string names;
    for (const MethodShape& shape : shapes()) names += std::string(shape.name) + " ";
    EXPECT_EQ(names, "text number fill pair ");
}

TEST(MethodShape, MethodsAreFoundWhereTheVtableHasThemWhateverTheListSays) {
    const auto all = shapes();
    EXPECT_EQ(shape_of(all, "number").offset, 8u);
    EXPECT_EQ(shape_of(all, "fill").offset, 16u);
    EXPECT_EQ(shape_of(all, "pair").offset, 24u);
    EXPECT_EQ(shape_of(all, "text").offset, 32u);
    EXPECT_TRUE(has(shape_of(all, "text").traits, MethodTraits::Bounded));
}

TEST(MethodShape, ArgumentsAreWordsOrSpansWithADirection) {
    const auto all = shapes();
    const auto check = [](const MethodShape& shape, size_t i, ArgumentKind kind, uint8_t size) {
        EXPECT_EQ(shape.arguments[i].kind, kind) << i;
        EXPECT_EQ(shape.arguments[i].size, size) << i;
    };
    check(shape_of(all, "number"), 0, ArgumentKind::Value, 1);
    check(shape_of(all, "number"), 1, ArgumentKind::Value, 2);
    check(shape_of(all, "number"), 2, ArgumentKind::None, 0);
    check(shape_of(all, "fill"), 0, ArgumentKind::Input, 1);
    check(shape_of(all, "fill"), 1, ArgumentKind::Output, 1);
    check(shape_of(all, "pair"), 0, ArgumentKind::Input, 4);
}

TEST(MethodShape, AnswersAreInRegistersOrInMemoryWhereTheirLayoutSays) {
    const auto all = shapes();
    const MethodShape& number = shape_of(all, "number");
    EXPECT_TRUE(!number.hidden && !number.is_result && !number.is_span && number.value_size == 4);
    const MethodShape& text = shape_of(all, "text");
    EXPECT_TRUE(!text.hidden && text.is_span);
    const MethodShape& fill = shape_of(all, "fill");
    EXPECT_TRUE(fill.hidden && fill.is_result && fill.value_size == 0);
    const Result<void> failed = ErrorCode::NotFound;
    EXPECT_EQ(reinterpret_cast<const char*>(&failed.error()) - reinterpret_cast<const char*>(&failed), fill.value_at);
    EXPECT_EQ(fill.answer_size, sizeof(failed));
    const MethodShape& pair = shape_of(all, "pair");
    EXPECT_TRUE(pair.hidden && pair.is_result && pair.value_size == sizeof(Pair));
    const Result<Pair> well = Pair{1, 2};
    EXPECT_EQ(reinterpret_cast<const char*>(&well.value()) - reinterpret_cast<const char*>(&well), pair.value_at);
    EXPECT_EQ(pair.answer_size, sizeof(well));
    const Result<Pair> not_well = ErrorCode::Busy;
    EXPECT_EQ(reinterpret_cast<const char*>(&not_well.error()) - reinterpret_cast<const char*>(&not_well),
              pair.value_at);
}

}  // namespace
}  // namespace helix

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// One row of cells is a line of a table, or an object with a member for each.
#include "kernel/console/listing.hpp"

#include <gtest/gtest.h>

#include <string>

namespace helix::kernel {
namespace {

struct StringSink final : TextSink {
    void write(Text text) override { content.append(text.data(), text.size()); }
    std::string content;
};

constexpr Column kColumns[] = {{"NAME", Column::Align::Left, "name"},    {"N", Column::Align::Right, "number"},
                               {"SHARE", Column::Align::Right, "share"}, {"TOOK", Column::Align::Right, "ns"},
                               {"AT", Column::Align::Right, "at_ns"},    {"ON", Column::Align::Left, "on"},
                               {"COUNTS", Column::Align::Left, "counts"}};

std::string listed(bool json, size_t rows) {
    StringSink sink;
    char scratch[512];
    Listing listing(sink, json, kColumns, Span<char>(scratch));
    for (uint32_t i = 0; i < rows; ++i) {
        const uint32_t counts[] = {i, 2, 3};
        listing.cell(i == 0 ? Text("a") : Text("\"b\""));
        listing.cell(i);
        listing.share(125 + i);
        listing.duration(1500);
        listing.time(12'345'678'901);
        listing.flag(i == 0);
        listing.numbers(counts);
    }
    listing.finish("(nobody)");
    return sink.content;
}

TEST(Listing, IsATable) {
    EXPECT_EQ(listed(false, 2),
              "NAME  N   SHARE      TOOK         AT  ON   COUNTS\n"
              "a     0  12.5 %  1.500 us  12.345678  yes  0,2,3\n"
              "\"b\"   1  12.6 %  1.500 us  12.345678  no   1,2,3\n");
    EXPECT_EQ(listed(false, 0), "(nobody)\n");
}

TEST(Listing, IsAnArrayOfObjects) {
    EXPECT_EQ(listed(true, 2),
              R"([{"name":"a","number":0,"share":125,"ns":1500,"at_ns":12345678901,"on":true,"counts":[0,2,3]},)"
              R"({"name":"\"b\"","number":1,"share":126,"ns":1500,"at_ns":12345678901,"on":false,"counts":[1,2,3]}])"
              "\n");
    EXPECT_EQ(listed(true, 0), "[]\n");
}

}  // namespace
}  // namespace helix::kernel

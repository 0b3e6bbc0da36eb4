// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// JSON goes out on one line, escaped; the scanner accepts exactly one value.
#include "kernel/console/json.hpp"

#include <gtest/gtest.h>

#include <string>

namespace helix::kernel {
namespace {

class StringSink final : public TextSink {
public:
    void write(Text text) override { content.append(text.data(), text.size()); }
    std::string content;
};

std::string written(auto write) {
    StringSink sink;
    JsonWriter json(sink);
    write(json);
    return sink.content;
}

TEST(JsonWriter, PutsCommasAndColonsByItself) {
    EXPECT_EQ(written([](JsonWriter& json) {
                  json.begin_array();
                  json.begin_object();
                  json.field("name", "a");
                  json.field("number", 42u);
                  json.field("below", -7);
                  json.field("on", true);
                  json.key("list");
                  json.begin_array();
                  json.value(1);
                  json.value("two");
                  json.null();
                  json.end_array();
                  json.end_object();
                  json.begin_object();
                  json.end_object();
                  json.end_array();
              }),
              R"([{"name":"a","number":42,"below":-7,"on":true,"list":[1,"two",null]},{}])");
}

TEST(JsonWriter, EscapesWhatJsonForbidsAndKeepsUtf8) {
    const auto text = [](Text value) { return written([&](JsonWriter& json) { json.value(value); }); };
    EXPECT_EQ(text("a\"b\\c\n\r\t"), R"("a\"b\\c\n\r\t")");
    EXPECT_EQ(text(Text("\0\x1b\x7f", 3)), "\"\\u0000\\u001b\\u007f\"");
    EXPECT_EQ(text("\xc2\x9b|\xc2\xa0"), "\"\\u009b|\xc2\xa0\"");
    EXPECT_EQ(text("größe → €😀"), "\"größe → €😀\"");
    EXPECT_EQ(text("\xff|\xc3|\xed\xa0\x80"), "\"\\ufffd|\\ufffd|\\ufffd\\ufffd\\ufffd\"");
}

TEST(JsonWriter, TakesRawJsonWithoutWhatTerminalsObey) {
    EXPECT_EQ(written([](JsonWriter& json) { json.raw("{\n  \"a\": 1\r\n}"); }), "{  \"a\": 1}");
    EXPECT_EQ(written([](JsonWriter& json) { json.raw("\t[\"\xc2\x9b\x7f\", \"\xc2\xa0\"]"); }),
              "[\"\\u009b\\u007f\", \"\xc2\xa0\"]");
}

TEST(JsonScanner, AcceptsExactlyOneValue) {
    for (const char* good : {"0", "-1.5e+10", "\"x\\u00e9\\n\"", "true", "null", " [1, 2,{\"a\":[]}] ", "{}", "\"€\"",
                             "[[[[[[[[[[]]]]]]]]]]"})
        EXPECT_TRUE(is_json_value(Text::from_c_string(good))) << good;
    for (const char* bad : {"", "01", "1 2", "[1,]", "{\"a\"}", "{a:1}", "\"", "\"\n\"", "tru", "[1", "-", "1.",
                            "\"\\x\"", "\"\\u12\"", "\"\xff\"", "]", "{\"a\":1,}"})
        EXPECT_FALSE(is_json_value(Text::from_c_string(bad))) << bad;
    EXPECT_FALSE(is_json_value(Text("1\0", 2)));
}

TEST(JsonScanner, BoundsItsDepth) {
    const std::string deep(100'000, '[');
    EXPECT_FALSE(is_json_value(Text(deep)));
    const std::string allowed = std::string(31, '[') + std::string(31, ']');
    EXPECT_TRUE(is_json_value(Text(allowed)));
}

}  // namespace
}  // namespace helix::kernel

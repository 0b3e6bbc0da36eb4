// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The script format of tests and measurements.

#include "script.hpp"

#include "failure.hpp"

#include <gmock/gmock.h>

namespace helix::tool {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string refusal(std::string_view text) {
    try {
        parse_script(text, "a.test");
        return {};
    } catch (const Failure& failure) {
        return failure.what();
    }
}

TEST(Script, ReadsEveryKey) {
    const Script script = parse_script(
        "# SPDX-License-Identifier: X\n# It proves this.\nprofile: demo\narch: hosted x86_64\nmachine: q35 "
        "microvm\nmemory: 8\n"
        "timeout: 2.5\nseeds: 1 5-7\nsame: 2\nlong: yes\njson: yes\nicount: yes\nappend: a=b\nfile: x\nstatus: 1\n"
        "metrics: a.b c\n"
        "exec:\n    one\n\n    two 'a; b'\nexpect:\n    text\n    /pat+ern/\nreject:\n    bad\n",
        "a.test");
    EXPECT_EQ(script.purpose, "It proves this.");
    EXPECT_EQ(script.profile, "demo");
    EXPECT_THAT(script.architectures, ElementsAre(Architecture::Hosted, Architecture::X86_64));
    EXPECT_THAT(script.machines, ElementsAre("q35", "microvm"));
    EXPECT_EQ(script.memory_mb, 8u);
    EXPECT_EQ(script.timeout_s, 2.5);
    EXPECT_THAT(script.seeds, ElementsAre(1u, 5u, 6u, 7u));
    EXPECT_EQ(script.same, 2u);
    EXPECT_TRUE(script.is_long && script.json && script.count_instructions);
    EXPECT_EQ(script.status, 1);
    EXPECT_EQ(script.command_text(), "one; two 'a; b'");
    EXPECT_THAT(script.expected, ElementsAre("text", "/pat+ern/"));
    EXPECT_THAT(script.rejected, ElementsAre("bad"));
    EXPECT_THAT(script.metrics, ElementsAre("a.b", "c"));
}

TEST(Script, RefusesMistakesWithTheLine) {
    EXPECT_THAT(refusal("exec:\n  a\nexpct:\n  b\n"),
                HasSubstr("a.test:3: unknown key \"expct\"; did you mean \"expect\"?"));
    EXPECT_THAT(refusal("profile: demo\n"), HasSubstr("nothing to do"));
    EXPECT_THAT(refusal("exec:\n  a\ninput:\n  b\n"), HasSubstr("exclude"));
    EXPECT_THAT(refusal("memory: many\nexec:\n  a\n"), HasSubstr("a.test:1: \"many\" is no number"));
    EXPECT_THAT(refusal("exec:\n  a\nexpect:\n  /(/\n"), HasSubstr("no regular expression"));
    EXPECT_THAT(refusal("arch: mips\nexec:\n  a\n"), HasSubstr("no architecture"));
}

TEST(CompareOutput, WantsTheLinesInOrder) {
    const Script script = parse_script("exec:\n  a\nexpect:\n  one\n  /tw./\nreject:\n  panic\n", "a.test");
    EXPECT_EQ(compare_output(script, "zero\nx one x\ntwo\n"), "");
    EXPECT_THAT(compare_output(script, "two\none\n"), HasSubstr("expected /tw./ after one"));
    EXPECT_EQ(compare_output(script, "one two\n"), "");
    EXPECT_THAT(compare_output(script, "two one\n"), HasSubstr("expected /tw./"));
    EXPECT_THAT(compare_output(script, "one\ntwo\nkernel panic: x\n"), HasSubstr("must not: kernel panic: x"));
}

}  // namespace
}  // namespace helix::tool

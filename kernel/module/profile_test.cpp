// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The compiled profile: what is read from it and what is refused.

#include "kernel/module/profile.hpp"

#include <gtest/gtest.h>

#include <string>

namespace helix::kernel {
namespace {

constexpr Text kGood =
    "# comment\n"
    "profile.name=demo\n"
    "modules.static=helix-execution  helix-memory\n"
    "\n"
    "modules.dynamic=\n"
    "primary.helix.scheduler=helix-scheduler-round-robin\n"
    "interface.helix.scheduler.time_slice_ms=10\n"
    "module.x.text=a=b, gr\u00fcn\n"
    "kernel.stack_size_kb=32";

TEST(Profile, ReadsValues) {
    const Profile profile = Profile::parse(as_bytes(kGood)).take();
    EXPECT_EQ(profile.value("profile.name"), Text("demo"));
    EXPECT_EQ(profile.value("module.x.text"), Text("a=b, gr\u00fcn"));
    EXPECT_EQ(profile.value("modules.dynamic", "other"), Text());
    EXPECT_EQ(profile.value("missing", "other"), Text("other"));
    EXPECT_TRUE(profile.has("modules.dynamic"));
    EXPECT_FALSE(profile.has("modules"));
    EXPECT_EQ(profile.number("kernel.stack_size_kb").value(), 32u);
    EXPECT_EQ(profile.number("interface.helix.scheduler.time_slice_ms").value(), 10u);
    EXPECT_EQ(profile.number("missing").error().code(), ErrorCode::NotFound);
    EXPECT_EQ(profile.number("profile.name").error().code(), ErrorCode::InvalidArgument);
}

TEST(Profile, SplitsLists) {
    const Profile profile = Profile::parse(as_bytes(kGood)).take();
    std::string seen;
    for (Text word : profile.words("modules.static")) seen += std::string(word) + ';';
    EXPECT_EQ(seen, "helix-execution;helix-memory;");
    for (Text word : profile.words("modules.dynamic")) ADD_FAILURE() << std::string(word);
    for (Text word : profile.words("missing")) ADD_FAILURE() << std::string(word);
}

TEST(Profile, ListsEntriesInOrder) {
    const Profile profile = Profile::parse(as_bytes(Text("b=1\n\n#x\na=\n"))).take();
    std::string seen;
    for (const ProfileEntry& entry : profile) seen += std::string(entry.key) + '>' + std::string(entry.value) + ' ';
    EXPECT_EQ(seen, "b>1 a> ");
}

TEST(Profile, MayBeEmpty) {
    EXPECT_FALSE(Profile::parse({}).value().has("a"));
    EXPECT_FALSE(Profile().has("a"));
    EXPECT_FALSE(Profile::parse(as_bytes(Text("#"))).value().has("a"));
}

TEST(Profile, RefusesBadLinesByNumber) {
    struct Case {
        Text text;
        ErrorCode code;
        const char* sentence;
    };
    const Case cases[] = {
        {"a=1\nb\n", ErrorCode::InvalidArgument, "profile, line 2: there is no '='; write key=value"},
        {"=1", ErrorCode::InvalidArgument, "profile, line 1: \"\" is not a key"},
        {" a=1", ErrorCode::InvalidArgument, "profile, line 1: \" a\" is not a key"},
        {"a=1\nb=2\n\na=3\n", ErrorCode::AlreadyExists, "profile, line 4: the key a is there twice"},
        {"a=\r\n", ErrorCode::InvalidArgument, "profile, line 1: the value of a is not printable UTF-8"},
        {"a=\xc3", ErrorCode::InvalidArgument, "profile, line 1: the value of a is not printable UTF-8"},
        {Text("a=\0", 3), ErrorCode::InvalidArgument, "profile, line 1: the value of a is not printable UTF-8"},
    };
    for (const Case& c : cases) {
        const Result<Profile> result = Profile::parse(as_bytes(c.text));
        ASSERT_FALSE(result.ok()) << c.sentence;
        EXPECT_EQ(result.error().code(), c.code);
        EXPECT_EQ(std::string(result.error().sentence()), c.sentence);
    }
}

TEST(Profile, LimitsTheNumberOfKeys) {
    std::string text;
    for (size_t i = 0; i < Profile::kMaximumEntries; ++i) text += "k" + std::to_string(i) + "=\n";
    EXPECT_TRUE(Profile::parse(as_bytes(text)).ok());
    text += "more=\n";
    EXPECT_EQ(Profile::parse(as_bytes(text)).error().code(), ErrorCode::OutOfRange);
}

}  // namespace
}  // namespace helix::kernel

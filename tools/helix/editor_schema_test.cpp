// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The schema for editors: keys of profiles, and what the modules of this build say about their options.

#include "editor_schema.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace helix::tool {
namespace {

using Json = nlohmann::json;

const Json& schema() {
    static const Json schema = Json::parse(editor_schema(ModuleLibrary(HELIX_MODULE_DIRECTORY)));
    return schema;
}

TEST(EditorSchema, HasTheKeysOfProfiles) {
    const Json& tables = schema()["properties"];
    EXPECT_EQ(tables["memory"]["properties"]["stack_size_kb"]["minimum"], 16);
    EXPECT_EQ(tables["memory"]["properties"]["stack_size_kb"]["maximum"], 1024);
    EXPECT_EQ(tables["profile"]["properties"]["arch"]["properties"]["primary"]["enum"][1], "hosted");
    EXPECT_THAT(tables["boot"]["properties"]["splash"]["description"].get<std::string>(),
                ::testing::StartsWith("No effect: "));
}

TEST(EditorSchema, HasTheOptionsOfEachModuleOfTheBuild) {
    const Json& modules = schema()["properties"]["module"]["properties"];
    const Json& option = modules["helix-scheduler-round-robin"]["properties"]["time_slice_ms"];
    EXPECT_EQ(option["type"], "integer");
    EXPECT_EQ(option["minimum"], 1);
    EXPECT_TRUE(option["default"].is_number_integer());
    EXPECT_FALSE(option["description"].get<std::string>().empty());
    EXPECT_TRUE(modules["template"]["properties"].contains("probation"));
    EXPECT_EQ(modules["template"]["properties"]["restart"]["enum"][0], "never");
    EXPECT_EQ(modules["template"]["properties"]["restart_limit"]["maximum"], 16);
    // What the loader refuses is no module to configure.
    EXPECT_FALSE(modules.contains("undefined-symbol"));
    EXPECT_FALSE(modules.contains("wrong-abi"));
}

TEST(EditorSchema, HasTheOptionsOfSchedulersUnderScheduler) {
    const Json& option = schema()["properties"]["scheduler"]["properties"]["time_slice_ms"];
    EXPECT_EQ(option["type"], "integer");
    EXPECT_FALSE(option.contains("default"));
    EXPECT_TRUE(schema()["properties"]["scheduler"]["properties"].contains("module"));
}

}  // namespace
}  // namespace helix::tool

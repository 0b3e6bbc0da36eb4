// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Plans: profiles joined with the modules of this build.

#include "plan.hpp"

#include "failure.hpp"

#include <gmock/gmock.h>

#include <algorithm>

namespace helix::tool {
namespace {

using ::testing::HasSubstr;

const ModuleLibrary& library() {
    static const ModuleLibrary modules(HELIX_MODULE_DIRECTORY);
    return modules;
}
BootPlan plan_of(std::string_view text) {
    return make_plan(parse_profile(text, "p/helix.toml"), library());
}
std::string refusal(std::string_view text) {
    try {
        plan_of(text);
        return {};
    } catch (const Failure& failure) {
        return failure.what();
    }
}

TEST(BootPlan, StartsProvidersBeforeThoseWhoNeedThem) {
    const BootPlan plan = plan_of("[modules]\nstatic = [\"helix-scheduler-round-robin\", \"helix-execution\"]\n");
    ASSERT_EQ(plan.modules.size(), 2u);
    EXPECT_EQ(plan.modules[0].name(), "helix-execution");
    EXPECT_EQ(plan.modules[1].name(), "helix-scheduler-round-robin");
    ASSERT_EQ(plan.dependencies.size(), 1u);
    EXPECT_EQ(plan.dependencies[0].from, 1u);
    EXPECT_EQ(plan.dependencies[0].to, 0u);
}

TEST(BootPlan, StartsWhatAModuleCanUseBeforeItAndDoesWithout) {
    const std::string begin = "[modules]\nstatic = [\"helix-execution\", \"helix-scheduler-round-robin\", \"asker\"";
    const BootPlan alone = plan_of(begin + "]\n");
    const auto is_optional = [](const auto& dependency) { return dependency.optional; };
    EXPECT_TRUE(std::ranges::none_of(alone.dependencies, is_optional));
    const BootPlan plan = plan_of(begin + ", \"answerer\"]\n");
    ASSERT_EQ(plan.modules.size(), 4u);
    EXPECT_EQ(plan.modules[2].name(), "answerer");
    EXPECT_EQ(plan.modules[3].name(), "asker");
    const auto found = std::ranges::find_if(plan.dependencies, is_optional);
    ASSERT_NE(found, plan.dependencies.end());
    EXPECT_EQ(found->requirement, "test.gate >=1");
}

TEST(BootPlan, CompilesToLinesForTheKernel) {
    const std::string lines =
        plan_of(
            "[profile]\nname = \"t\"\n[scheduler]\nmodule = \"round_robin\"\ntime_slice_ms = 7\n[allocator]\nheap = "
            "\"slab\"\n"
            "[modules]\nstatic = [\"helix-execution\", \"helix-allocator-bump\"]\ndynamic = "
            "[\"helix-scheduler-priority\"]\n"
            "[module.\"helix-scheduler-round-robin\"]\naging_ms = 50\nprobation = \"2s\"\nrestart = "
            "\"never\"\n[debug]\npanic_behavior = "
            "\"reboot\"\n")
            .compiled();
    for (const char* line :
         {"profile.name=t\n",
          "modules.static=helix-execution helix-allocator-bump helix-scheduler-round-robin helix-allocator-slab\n",
          "modules.dynamic=helix-scheduler-priority\n", "primary.helix.scheduler=helix-scheduler-round-robin\n",
          "primary.helix.allocator=helix-allocator-slab\n", "interface.helix.scheduler.time_slice_ms=7\n",
          "module.helix-scheduler-round-robin.aging_ms=50\n", "module.helix-scheduler-round-robin.probation=2s\n",
          "module.helix-scheduler-round-robin.restart=never\n", "debug.panic_behavior=reboot\n"})
        EXPECT_THAT(lines, HasSubstr(line));
}

TEST(BootPlan, TakesCheckpointsOfModulesThatRestoreOldStatesAlone) {
    const std::string begin =
        "[modules]\nstatic = [\"helix-execution\", \"helix-scheduler-round-robin\"]\n"
        "dynamic = [\"phoenix\", \"crasher\"]\ncheckpoint = \"60s\"\n";
    const std::string lines = plan_of(begin + "[module.\"phoenix\"]\ncheckpoint = \"5s\"\n").compiled();
    EXPECT_THAT(lines, HasSubstr("module.phoenix.checkpoint=5s\n"));
    EXPECT_THAT(lines, HasSubstr("kernel.checkpoint=60s\n"));
    EXPECT_THAT(refusal(begin + "[module.\"crasher\"]\ncheckpoint = \"5s\"\n"),
                HasSubstr("p/helix.toml:6:1: module crasher takes no checkpoint: it does not declare RestoresStale"));
}

constexpr char kBase[] = "[modules]\nstatic = [\"helix-execution\", \"helix-scheduler-round-robin\", ";

TEST(BootPlan, AnotherInstanceOfAModuleHasAnotherName) {
    const BootPlan plan = plan_of(std::string(kBase) +
                                  "\"link-a\", \"link-b\"]\ndynamic = [\"another\"]\n"
                                  "[module.another]\ninstance_of = \"link-a\"\nrestart = \"never\"\n");
    ASSERT_EQ(plan.modules.size(), 5u);
    EXPECT_EQ(plan.modules[4].name(), "link-a");
    EXPECT_EQ(plan.modules[4].instance_name(), "another");
    for (const char* line :
         {"modules.dynamic=another\n", "module.another.instance_of=link-a\n", "module.another.restart=never\n"})
        EXPECT_THAT(plan.compiled(), HasSubstr(line));
    // It meets what its module would meet.
    const BootPlan without =
        plan_of(std::string(kBase) + "\"link-b\", \"another\"]\n[module.another]\ninstance_of = \"link-a\"\n");
    EXPECT_EQ(without.modules[2].instance_name(), "another");
    EXPECT_EQ(without.modules[3].instance_name(), "link-b");
}

TEST(BootPlan, RefusesInstancesThatMakeNoSense) {
    const auto refused = [](std::string_view table) {
        return refusal(std::string(kBase) + "\"link-a\", \"another\"]\n" + std::string(table));
    };
    EXPECT_THAT(refused(""), HasSubstr("no module \"another\""));
    EXPECT_THAT(refused("[module.another]\ninstance_of = \"link-x\"\n"),
                ::testing::AllOf(HasSubstr("p/helix.toml:4:15: no module \"link-x\""), HasSubstr("did you mean")));
    EXPECT_THAT(refused("[module.another]\ninstance_of = 7\n"), HasSubstr("takes the name of a module"));
    EXPECT_THAT(refused("[module.another]\ninstance_of = \"another\"\n"), HasSubstr("is itself an instance"));
    EXPECT_THAT(refused("[module.another]\ninstance_of = \"link-a\"\nfile = \"x.hmod\"\n"),
                HasSubstr("it has the file of \"link-a\""));
    EXPECT_THAT(refused("[module.another]\ninstance_of = \"link-a\"\nunits = 3\n"),
                HasSubstr("unknown key \"units\": module another has no such option"));
    EXPECT_THAT(refused("[module.another]\ninstance_of = \"link-a\"\n[module.link-a]\ninstance_of = \"link-b\"\n"),
                HasSubstr("a module has that name; take another"));
    EXPECT_THAT(refused("[module.\"an other\"]\ninstance_of = \"link-a\"\n"), HasSubstr("cannot name an instance"));
    EXPECT_THAT(refusal(std::string(kBase) + "\"link-a\", \"link-a\"]\n"),
                HasSubstr("one more instance has a name of its own"));
}

TEST(BootPlan, RefusesWhatTheModulesRefuse) {
    EXPECT_THAT(
        refusal(
            "[scheduler]\nmodule = \"round_robin\"\ntime_slice_ms = 5000\n[modules]\nstatic = [\"helix-execution\"]\n"),
        ::testing::AllOf(HasSubstr("p/helix.toml:3:17: "), HasSubstr("time_slice_ms"), HasSubstr("1000")));
    EXPECT_THAT(
        refusal("[modules]\nstatic = [\"helix-execution\", \"helix-scheduler-round-robin\"]\n"
                "[module.\"helix-scheduler-round-robin\"]\nagin_ms = 3\n"),
        HasSubstr("p/helix.toml:4:1: unknown key \"agin_ms\": module helix-scheduler-round-robin has no such option; "
                  "did you mean \"aging_ms\"?"));
    EXPECT_THAT(
        refusal(
            "[scheduler]\nmodule = \"round_robin\"\ntime_slise_ms = 5\n[modules]\nstatic = [\"helix-execution\"]\n"),
        HasSubstr("did you mean \"time_slice_ms\"?"));
    EXPECT_THAT(refusal("[modules]\nstatic = [\"helix-execution\", "
                        "\"helix-scheduler-round-robin\"]\n[module.\"helix-worklod\"]\nx = 1\n"),
                HasSubstr("module \"helix-worklod\" is not in this profile"));
}

TEST(BootPlan, NoticesAPublishedOptionThatTheSchedulerLacks) {
    const BootPlan plan = plan_of(
        "[scheduler]\nmodule = \"round_robin\"\nload_balancing = true\n[modules]\nstatic = [\"helix-execution\"]\n");
    ASSERT_EQ(plan.notices.size(), 1u);
    EXPECT_THAT(plan.notices[0], HasSubstr("p/helix.toml:3:1: notice: \"load_balancing\" has no effect"));
}

TEST(BootPlan, NamesMissingModulesAndTheirNearest) {
    EXPECT_THAT(refusal("[modules]\nstatic = [\"helix-scheduler-roundrobin\"]\n"),
                ::testing::AllOf(HasSubstr("p/helix.toml:2:11: no module"),
                                 HasSubstr("did you mean \"helix-scheduler-round-robin\"?")));
    EXPECT_THAT(refusal("[scheduler]\nmodule = \"cfs\"\n[modules]\nstatic = [\"helix-execution\"]\n"),
                HasSubstr("p/helix.toml:2:10: no module \"cfs\" or \"helix-scheduler-cfs\""));
    EXPECT_THAT(refusal("[modules]\nstatic = []\n"), HasSubstr("no static module"));
    EXPECT_THAT(refusal("[modules]\nstatic = [\"helix-execution\"]\n"),
                HasSubstr("no static module implements helix.scheduler"));
}

TEST(BootPlan, ReportsMissingDependenciesAndCyclesWithTheChain) {
    EXPECT_THAT(refusal("[modules]\nstatic = [\"helix-scheduler-round-robin\"]\n"),
                ::testing::AllOf(HasSubstr("helix-scheduler-round-robin"), HasSubstr("helix-execution")));
    EXPECT_THAT(refusal("[modules]\nstatic = [\"helix-execution\", \"helix-scheduler-round-robin\"]\ndynamic = "
                        "[\"cycle-a\", \"cycle-b\"]\n"),
                ::testing::AllOf(HasSubstr("cycle-a"), HasSubstr("cycle-b")));
    EXPECT_THAT(refusal("[modules]\nstatic = [\"helix-execution\", \"helix-scheduler-round-robin\"]\ndynamic = "
                        "[\"needs-missing\"]\n"),
                HasSubstr("needs-missing"));
}

TEST(BootPlan, ReportsAllThatIsMissingAndWrongKeysAtOnceEachWithItsPlace) {
    const std::string all = refusal(
        "[modules]\nstatic = [\n  \"helix-scheduler-round-robin\",\n  \"link-b\"]\n"
        "dynamic = [\"needs-missing\"]\n[module.\"link-b\"]\nunits = 3\n");
    EXPECT_THAT(all, HasSubstr("p/helix.toml:3:3: helix-scheduler-round-robin needs helix-execution"));
    EXPECT_THAT(all, HasSubstr("p/helix.toml:4:3: link-b needs link-a"));
    EXPECT_THAT(all, HasSubstr("p/helix.toml:5:12: needs-missing needs "));
    EXPECT_THAT(all, HasSubstr("p/helix.toml:7:1: unknown key \"units\": module link-b has no such option"));
    EXPECT_THAT(all, ::testing::Not(HasSubstr("is not in this profile")));
    // Of one that cannot be read it is not known what it would provide.
    const std::string unread = refusal(
        "[modules]\nstatic = [\"helix-exection\", \"helix-scheduler-round-robin\"]\n[module.\"helix-exection\"]\n"
        "x = 1\n");
    EXPECT_THAT(unread, HasSubstr("did you mean \"helix-execution\"?"));
    EXPECT_THAT(unread, ::testing::Not(HasSubstr("which is missing")));
    EXPECT_THAT(unread, ::testing::Not(HasSubstr("is not in this profile")));
}

TEST(BootPlan, RefusesStaticModulesThatConflictButLetsDynamicOnesBeAlternatives) {
    EXPECT_THAT(refusal("[modules]\nstatic = [\"helix-execution\", \"helix-scheduler-round-robin\", \"link-a\", "
                        "\"link-b\", \"link-c\", \"link-rival\"]\n"),
                HasSubstr("link-rival, which conflicts with link-b 1.2.3 (link-c needs link-b)"));
    EXPECT_EQ(refusal("[modules]\nstatic = [\"helix-execution\", \"helix-scheduler-round-robin\", \"link-a\", "
                      "\"link-b\"]\ndynamic = [\"link-rival\"]\n"),
              "");
}

TEST(BootPlan, RefusesModulesThatTheKernelWouldRefuse) {
    EXPECT_THAT(refusal("[modules]\nstatic = [\"helix-execution\", \"wrong-abi\"]\n"), HasSubstr("ABI"));
    EXPECT_THAT(refusal("[scheduler]\nmodule = \"priority\"\n[modules]\nstatic = [\"helix-execution\"]\ndynamic = "
                        "[\"helix-scheduler-priority\"]\n"),
                HasSubstr("must be static"));
    EXPECT_THAT(refusal("[modules]\nstatic = [\"helix-execution\", \"helix-execution\"]\n"), HasSubstr("listed twice"));
}

}  // namespace
}  // namespace helix::tool

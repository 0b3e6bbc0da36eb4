// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Profiles: what the schema takes, what it refuses and where, what it only notices.

#include "profile.hpp"

#include "failure.hpp"
#include "text.hpp"

#include <gmock/gmock.h>

namespace helix::tool {
namespace {

using ::testing::HasSubstr;

/// The message with which `text` is refused; empty when it is taken.
std::string refusal(std::string_view text) {
    try {
        parse_profile(text, "p/helix.toml");
        return {};
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.status(), ExitStatus::Failed);
        return failure.what();
    }
}

// The keys of the published schema, in the form and with the values of its own minimal profile.
constexpr std::string_view kPublished = R"(
[profile]
name = "minimal"
version = "1.0.0"
description = "Small"
target = "embedded"
[profile.arch]
primary = "x86_64"
supported = ["x86_64", "aarch64", "riscv64"]
[profile.features]
multicore = false
hot_reload = false
userspace = false
networking = false
filesystem = false
graphics = false
[memory]
min_ram_mb = 4
max_ram_mb = 64
heap_size_kb = 256
stack_size_kb = 16
virtual_memory = false
[scheduler]
module = "round_robin"
time_slice_ms = 10
priority_levels = 8
load_balancing = false
[console]
backend = "serial"
baud_rate = 115200
early_console = true
[modules]
static = ["helix-scheduler-round-robin"]
dynamic = []
[boot]
entry = "kernel_main"
early_init = ["console", "memory", "interrupts"]
late_init = ["scheduler"]
cmdline = "quiet loglevel=3"
[debug]
level = "minimal"
symbols = false
stack_traces = true
panic_behavior = "halt"
[build]
opt_level = "s"
lto = true
panic = "abort"
strip = true
)";

TEST(Profile, TakesThePublishedSchemaAsItIs) {
    const Profile profile = parse_profile(kPublished, "p/helix.toml");
    EXPECT_EQ(profile.name, "minimal");
    EXPECT_EQ(profile.minimum_memory_mb, 4u);
    EXPECT_EQ(profile.maximum_memory_mb, 64u);
    EXPECT_EQ(profile.command_line, "quiet loglevel=3");
    EXPECT_EQ(profile.kernel_keys.at("debug.panic_behavior"), "halt");
    EXPECT_EQ(profile.kernel_keys.at("kernel.stack_size_kb"), "16");
    EXPECT_EQ(profile.kernel_keys.at("console.log_level"), "error");
    EXPECT_FALSE(profile.keep_symbols);
    ASSERT_EQ(profile.slots.size(), 1u);
    EXPECT_EQ(profile.slots[0].module->name, "round_robin");
    EXPECT_EQ(profile.slots[0].options.at("time_slice_ms").value, "10");
    EXPECT_EQ(profile.slots[0].options.at("priority_levels").value, "8");
}

TEST(Profile, NamesEachKeyWithoutEffectAndTheReason) {
    const std::string notices = join(parse_profile(kPublished, "p/helix.toml").notices, "\n");
    EXPECT_THAT(notices, HasSubstr("p/helix.toml:20:1: notice: \"memory.heap_size_kb\" has no effect: "));
    EXPECT_THAT(notices, HasSubstr("\"memory.virtual_memory\""));
    EXPECT_THAT(notices, HasSubstr("\"profile.features.hot_reload\""));
    EXPECT_THAT(notices, HasSubstr("aarch64"));
    EXPECT_THAT(notices, HasSubstr("\"build.lto\""));
    // What describes Helix as it is needs no notice.
    for (const char* quiet : {"networking", "multicore", "backend", "baud_rate", "entry", "build.panic"})
        EXPECT_THAT(notices, ::testing::Not(HasSubstr(quiet)));
}

TEST(Profile, NamesEachBootWordThatTheKernelDoesNotKnow) {
    const std::string notices = join(
        parse_profile("[boot]\ncmdline = \"json=1 cpus=2 report=boot cpus=x frob=1 json=7 zap\"\n", "x").notices, "\n");
    for (const char* word : {"cpus=x", "frob=1", "json=7", "zap"})
        EXPECT_THAT(notices,
                    HasSubstr(std::string("x:2:11: notice: the kernel has no use for the boot word \"") + word));
    for (const char* word : {"cpus=2", "word \"json=1", "report"})
        EXPECT_THAT(notices, ::testing::Not(HasSubstr(word)));
}

TEST(Profile, TakesModuleListsAsTables) {
    const Profile profile = parse_profile("[modules.static]\nscheduler = \"a\"\nmodules = [\"b\", \"c\"]\n", "x");
    std::vector<std::string> names;
    for (const ModuleReference& reference : profile.static_modules) names.push_back(reference.name);
    EXPECT_THAT(names, ::testing::UnorderedElementsAre("a", "b", "c"));
}

TEST(Profile, ReadsWhatAModuleIsTold) {
    const Profile profile = parse_profile(
        "[module.\"helix-workload\"]\nseed = 7\nfast = true\ncheck_timeout = \"5s\"\nplacement = \"kernel\"\n", "x");
    const ModuleSettings& settings = profile.modules.at("helix-workload");
    EXPECT_EQ(settings.options.at("seed").value, "7");
    EXPECT_EQ(settings.options.at("fast").value, "true");
    EXPECT_EQ(settings.options.at("check_timeout").value, "5s");
    EXPECT_EQ(settings.options.size(), 3u);
}

struct BadProfile {
    std::string_view text;
    std::string_view message;
};
class RefusedProfile : public ::testing::TestWithParam<BadProfile> {};
TEST_P(RefusedProfile, NamesPlaceAndRemedy) {
    EXPECT_THAT(refusal(GetParam().text), HasSubstr(GetParam().message));
}

TEST(Profile, PassesOnHowModulesAreLookedAfter) {
    const Profile profile = parse_profile(
        "[modules]\nrestart = \"never\"\nrestart_limit = 3\nhealth_period = \"0s\"\n"
        "[module.\"x\"]\nrestart = \"always\"\nrestart_delay = \"5ms\"\nhealth_failures = 2\ncall_limit = \"2s\"\n",
        "p");
    EXPECT_EQ(profile.kernel_keys.at("kernel.restart"), "never");
    EXPECT_EQ(profile.kernel_keys.at("kernel.restart_limit"), "3");
    EXPECT_EQ(profile.kernel_keys.at("kernel.health_period"), "0s");
    const std::map<std::string, std::string> expected{
        {"restart", "always"}, {"restart_delay", "5ms"}, {"health_failures", "2"}, {"call_limit", "2s"}};
    EXPECT_EQ(profile.modules.at("x").supervision, expected);
    EXPECT_TRUE(profile.modules.at("x").options.empty());
    EXPECT_TRUE(profile.notices.empty());
    EXPECT_THAT(refusal("[modules]\nrestart = \"sometimes\"\n"), HasSubstr("never"));
    EXPECT_THAT(refusal("[modules]\nrestart_limit = 17\n"), HasSubstr("16"));
    EXPECT_THAT(refusal("[modules]\ncall_budget = \"0s\"\n"), HasSubstr("a duration above zero"));
    EXPECT_THAT(refusal("[modules]\nrestart_period = \"0s\"\n"),
                HasSubstr("\"modules.restart_period\" takes a duration"));
    EXPECT_THAT(refusal("[module.\"x\"]\nrestart = \"sometimes\"\n"),
                HasSubstr("\"restart\" takes \"never\", \"on-failure\" or \"always\""));
    EXPECT_THAT(refusal("[module.\"x\"]\nrestart_limit = 0\n"), HasSubstr("takes a number from 1 to 16"));
    EXPECT_THAT(refusal("[module.\"x\"]\nhealth_period = 2\n"), HasSubstr("takes a duration"));
    EXPECT_THAT(refusal("[module.\"x\"]\ncheckpoint = \"often\"\n"), HasSubstr("\"checkpoint\" takes a duration"));
}

TEST(Profile, PassesProbationTimesOn) {
    const Profile profile =
        parse_profile("[modules]\nprobation = \"500ms\"\n[module.\"x\"]\nprobation = \"2s\"\n", "p");
    EXPECT_EQ(profile.kernel_keys.at("kernel.probation"), "500ms");
    EXPECT_EQ(parse_profile("[scheduler]\nwatchdog = \"250ms\"\n", "p").kernel_keys.at("kernel.watchdog_ms"), "250");
    for (const char* bad : {"\"9ms\"", "\"61s\"", "\"soon\"", "\"\""})
        EXPECT_THAT(refusal(fmt::format("[scheduler]\nwatchdog = {}\n", bad)), HasSubstr("from 10ms to 60s")) << bad;
    EXPECT_EQ(profile.modules.at("x").probation, "2s");
    EXPECT_THAT(refusal("[modules]\nprobation = \"soon\"\n"), HasSubstr("takes a duration"));
    EXPECT_THAT(refusal("[module.\"x\"]\nprobation = 2\n"), HasSubstr("takes a duration"));
}

INSTANTIATE_TEST_SUITE_P(
    Profile, RefusedProfile,
    ::testing::Values(BadProfile{"[memory]\nheap_size = 3\n",
                                 "p/helix.toml:2:1: unknown key \"heap_size\"; did you mean \"heap_size_kb\"?"},
                      BadProfile{"[memroy]\n", "p/helix.toml:1:2: unknown key \"memroy\"; did you mean \"memory\"?"},
                      BadProfile{"[memory]\nmin_ram_mb = \"4\"\n",
                                 "p/helix.toml:2:14: \"memory.min_ram_mb\" is a string, but it takes an integer"},
                      BadProfile{"[memory]\nmin_ram_mb = 4.5\n", "a floating-point number"},
                      BadProfile{"[memory]\nstack_size_kb = 4\n", "an integer from 16 to 1024"},
                      BadProfile{"memory = 3\n", "\"memory\" is an integer, but it is a table"},
                      BadProfile{"[debug]\npanic_behavior = \"hlat\"\n", "did you mean \"halt\"?"},
                      BadProfile{"[modules]\nstatic = [\"a\", 3]\n",
                                 "p/helix.toml:2:16: \"modules.static\" holds an integer"},
                      BadProfile{"[modules]\nstatic = \"a\"\n", "an array of strings"},
                      BadProfile{"[profile.features]\nuserspace = true\n", "user space is not supported"},
                      BadProfile{"[module.\"x\"]\nplacement = \"userspace\"\n", "user space: not supported"},
                      BadProfile{"[module.\"x\"]\noption = [1]\n", "an option is a string, an integer or a boolean"},
                      BadProfile{"[profile.arch]\nprimary = \"riscv64\"\n", "the port to riscv64 is not built yet"},
                      BadProfile{"[scheduler]\nmodule = 3\n", "\"scheduler.module\" is an integer"},
                      BadProfile{"[memory]\nmin_ram_mb = 64\nmax_ram_mb = 4\n", "max_ram_mb is below min_ram_mb"},
                      BadProfile{"[boot]\ncmdline = \"a\\nb\"\n", "must be one line"},
                      BadProfile{"[memory\n", "p/helix.toml:1:"}));

TEST(Profile, ReportsEveryMistakeAtOnce) {
    const std::string all = refusal("[memory]\nfoo = 1\nmin_ram_mb = true\n");
    EXPECT_THAT(all, HasSubstr(":2:1: unknown key \"foo\""));
    EXPECT_THAT(all, HasSubstr(":3:14: \"memory.min_ram_mb\" is a boolean"));
}

TEST(FindProfile, SuggestsTheNearestName) {
    try {
        find_profile(HELIX_TEST_ROOT "/profiles", "minimla");
        FAIL();
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.status(), ExitStatus::Usage);
        EXPECT_THAT(failure.what(), HasSubstr("did you mean \"minimal\"?"));
    }
}

}  // namespace
}  // namespace helix::tool

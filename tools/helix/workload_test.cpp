// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Workloads in the tool: files and their mistakes, figures from what runs print, the plot.

#include "failure.hpp"
#include "files.hpp"
#include "text.hpp"
#include "workload_figures.hpp"
#include "workload_file.hpp"
#include "workload_plot.hpp"

#include <gmock/gmock.h>

#include <set>

namespace helix::tool {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using Json = nlohmann::ordered_json;

const fs::path kExamples = fs::path(HELIX_TEST_ROOT) / "modules/workload/examples";

TEST(WorkloadFile, TheExamplesAreGood) {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(kExamples)) {
        const WorkloadFile file = load_workload(entry.path());
        EXPECT_GT(file.plan->thread_count, 0u) << entry.path();
        names.insert(entry.path().filename().string());
    }
    EXPECT_EQ(names, (std::set<std::string>{"computing.json", "interactive.json", "locks.json", "mixed.json",
                                            "periodic.json", "sleepers.json"}));
}

TEST(WorkloadFile, AMistakeHasFileLineAndColumn) {
    const TemporaryDirectory directory;
    const fs::path file = directory.path() / "bad.json";
    write_file(file, "{\n  \"tasks\": {\"a\": {\"rum\": 1}}}");
    try {
        load_workload(file);
        FAIL() << "it was taken for a good one";
    } catch (const Failure& failure) {
        EXPECT_THAT(failure.what(),
                    testing::StartsWith(file.string() + ":2:19: unknown key \"rum\" in a task; it takes"));
        EXPECT_EQ(failure.status(), ExitStatus::Failed);
    }
    EXPECT_THROW(load_workload(directory.path() / "none.json"), Failure);
}

/// What editors are told of a workload is what the parser takes: a file with all keys, and no key that it refuses.
TEST(WorkloadFile, TheSchemaHasTheKeysThatTheParserTakes) {
    const Json schema = Json::parse(read_file(fs::path(HELIX_TEST_ROOT) / "modules/workload/workload.schema.json"));
    const auto names = [](const Json& properties) {
        std::set<std::string> out;
        for (const auto& [name, value] : properties.items()) out.insert(name);
        return out;
    };
    const TemporaryDirectory directory;
    // What the parser says that an object takes, when it is given something else.
    const auto taken = [&](const std::string& text) {
        write_file(directory.path() / "w.json", text);
        try {
            load_workload(directory.path() / "w.json");
        } catch (const Failure& failure) {
            std::string known(failure.what());
            known = known.substr(known.find("it takes ") + 9);
            std::set<std::string> out;
            for (std::string word : words(known)) {
                if (word.ends_with(":")) word.pop_back();
                if (word != "and" && word != "steps") out.insert(word);
            }
            return out;
        }
        return std::set<std::string>();
    };
    const Json& definitions = schema.at("definitions");
    EXPECT_EQ(taken("{\"x\":1}"), names(schema.at("properties")));
    EXPECT_EQ(taken("{\"global\":{\"x\":1}}"), names(schema.at("properties").at("global").at("properties")));
    EXPECT_EQ(taken("{\"tasks\":{\"a\":{\"x\":1}}}"), names(definitions.at("task").at("properties")));
    EXPECT_EQ(taken("{\"tasks\":{\"a\":{\"timer\":{\"x\":1}}}}"), names(definitions.at("timer").at("properties")));
    std::set<std::string> steps = taken("{\"tasks\":{\"a\":{\"phases\":{\"p\":{\"x\":1}}}}}");
    EXPECT_EQ(steps.erase("loop"), 1u);
    std::set<std::string> patterns;
    for (const auto& [pattern, value] : definitions.at("phase").at("patternProperties").items())
        for (const std::string& part : split(pattern.substr(2, pattern.find(')') - 2), '|')) patterns.insert(part);
    EXPECT_EQ(steps, patterns);
}

WorkloadRun run_of(uint64_t elapsed_ns, uint64_t work_ns, const std::string& latencies, const std::string& work) {
    const std::string counts = R"("loops":10,"steps":20,"work_ns":)" + std::to_string(work_ns) +
                               R"(,"wakeups":4,"latency_ns":{"median":1,"p99":2,"max":)" + std::to_string(elapsed_ns) +
                               R"(},"missed":1,"refused":2,"migrations":3)";
    return workload_run_in(R"(noise
{"ended":"loops","elapsed_ns":)" +
                               std::to_string(elapsed_ns) + R"(,"threads":2,"switches":100,"steps_per_ms":5,)" +
                               counts + R"(,"tasks":[{"name":"a","threads":2,"least_work_ns":)" +
                               std::to_string(work_ns / 4) + R"(,"most_work_ns":9,)" + counts +
                               "}]}\n{\"latencies_ns\":" + latencies +
                               ",\"largest_latency_ns\":1000,\"work_ns\":" + work + "}\n",
                           "test");
}

TEST(WorkloadFigures, RunsAreTakenTogether) {
    const WorkloadFigures figures =
        workload_figures("fair", {run_of(1'000'000'000, 500'000'000, "[[10,3],[1007,1]]", "[[1,1]]"),
                                  run_of(1'000'000'000, 900'000'000, "[[10,4]]", "[[3,1]]"),
                                  run_of(2'000'000'000, 1'400'000'000, "[[20,4]]", "[[2,0],[7]]")});
    EXPECT_EQ(figures.runs, 3u);
    EXPECT_DOUBLE_EQ(figures.elapsed_s, 4);
    EXPECT_DOUBLE_EQ(figures.throughput, 0.7);
    EXPECT_DOUBLE_EQ(figures.fairness, 0.8) << "(3 + 1)^2 / (2 (9 + 1)), between 1 and 0.5";
    EXPECT_EQ(figures.loops, 30u);
    EXPECT_EQ(figures.wakeups, 12u);
    EXPECT_EQ(figures.median_ns, 10u);
    EXPECT_EQ(figures.p99_ns, 1000u);
    EXPECT_EQ(figures.max_ns, 1000u);
    EXPECT_EQ(figures.switches, 300u);
    EXPECT_EQ(figures.migrations, 9u);
    EXPECT_EQ(figures.missed, 3u);
    EXPECT_EQ(figures.refused, 6u);
    EXPECT_EQ(figures.tasks.at(0).at("loops"), 30u);
    EXPECT_EQ(figures.tasks.at(0).at("least_work_ns"), 125'000'000u);
    EXPECT_EQ(figures.tasks.at(0).at("latency_ns").at("max"), 2'000'000'000u);
}

TEST(WorkloadFigures, ARunThatPrintedNothingIsNoRun) {
    try {
        workload_run_in("{\"error\":\"no memory\"}\n", "fair");
        FAIL() << "it was taken for a run";
    } catch (const Failure& failure) {
        EXPECT_STREQ(failure.what(), "fair: it measured nothing: {\"error\":\"no memory\"}");
    }
}

TEST(WorkloadFigures, FairnessIsOneForEqualsAndOneInNForOne) {
    EXPECT_DOUBLE_EQ(fairness_index({5, 5, 5}), 1);
    EXPECT_DOUBLE_EQ(fairness_index({0, 0, 8, 0}), 0.25);
    EXPECT_DOUBLE_EQ(fairness_index({0, 0}), 1) << "nobody got anything";
}

std::vector<WorkloadFigures> two_figures() {
    return {workload_figures("fair", {run_of(1'000'000'000, 500'000'000, "[[10,3],[1007,1]]", "[[1,1]]")}),
            workload_figures("a<b", {run_of(1'000'000'000, 250'000'000, "[]", "[[1,1]]")})};
}

TEST(WorkloadFigures, EachFormatHasAllFigures) {
    EXPECT_EQ(workload_csv({two_figures()[0]}),
              "policy,runs,elapsed_s,throughput_cpus,loops,loops_per_second,wakeups,latency_median_ns,latency_p99_ns,"
              "latency_max_ns,fairness,switches,switches_per_second,migrations,migrations_per_second,missed,refused\n"
              "fair,1,1.000000,0.500000,10,10.000,4,10,1000,1000,1.000000,100,100.000,3,3.000,1,2\n");
    const std::vector<std::string> lines = split(workload_json(two_figures()), '\n');
    ASSERT_EQ(lines.size(), 3u);
    const Json value = Json::parse(lines[0]);
    EXPECT_EQ(value.at("policy"), "fair");
    EXPECT_EQ(value.at("latency_ns").at("p99"), 1000u);
    EXPECT_EQ(value.at("tasks").at(0).at("name"), "a");
    EXPECT_THAT(workload_table(two_figures()), HasSubstr("\nfair        0.500         10      10 ns     1.0 us"));
    WorkloadFigures awake;
    awake.name = "a";
    EXPECT_THAT(workload_table({awake}), HasSubstr("          -          -          -    1.000")) << "nobody slept";
}

TEST(WorkloadPlot, HasACurveForWhoeverSleptAndBarsForAll) {
    const std::string svg = workload_svg("mixed.json & more", two_figures());
    EXPECT_THAT(svg, testing::StartsWith("<svg xmlns=\"http://www.w3.org/2000/svg\""));
    EXPECT_THAT(svg, testing::EndsWith("</svg>\n"));
    EXPECT_THAT(svg, HasSubstr("mixed.json &amp; more"));
    EXPECT_THAT(svg, HasSubstr(">a&lt;b</text>"));
    const auto count = [&](std::string_view what) {
        size_t found = 0;
        for (size_t at = svg.find(what); at != std::string::npos; at = svg.find(what, at + 1)) ++found;
        return found;
    };
    EXPECT_EQ(count("<polyline"), 1u) << "nobody woke up under the second";
    EXPECT_EQ(count("<rect"), 1u + 2 + 5 * 2) << "the ground, the legend, five figures of two policies";
    EXPECT_EQ(count("nan"), 0u);
    EXPECT_EQ(count("inf"), 0u);
    EXPECT_THAT(workload_svg("none", {two_figures()[1]}), HasSubstr("nobody slept"));
}

}  // namespace
}  // namespace helix::tool

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Workload files: what is read from good ones, and for each mistake where it is and what would be right.

#include "plan_parser.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace {
using namespace helix;
using namespace helix::workload;

class PlanParserTest : public ::testing::Test {
protected:
    /// "line:column: sentence", or nothing for a good one.
    std::string parse(const std::string& text) {
        PlanProblem problem;
        if (parser_->parse(Text(text), *plan_, problem)) return {};
        return std::to_string(problem.line) + ":" + std::to_string(problem.column) + ": " +
               std::string(problem.sentence.text());
    }
    /// The same for a file with these tasks, whose line counts as the first.
    std::string parse_tasks(const std::string& tasks) {
        return parse("{\"global\":{\"duration\":1},\"tasks\":{\n" + tasks + "}}");
    }
    std::unique_ptr<PlanParser> parser_ = std::make_unique<PlanParser>();
    std::unique_ptr<Plan> plan_ = std::make_unique<Plan>();
};

TEST_F(PlanParserTest, ReadsAllThatAFileMaySay) {
    ASSERT_EQ(parse(R"(/* a comment */ {
        "global": {"duration": 2.5},
        "tasks": {
            "one": {"instance": 3, "loop": 7, "delay": 20, "priority": 20, "weight": 2048, "slice": 300,
                    "cpus": [0, 7,2],
                    "phases": {"a": {"loop": 2, "run": 100, "sleep1": 200, "sleep2": 300},
                               "b": {"lock": "m", "yield": "", "unlock": "m", "barrier": "x"}}},
            "two": {"loop": 7, "dl-runtime": 1000, "dl-deadline": 2000, "dl-period": 3000,
                    "timer": {"ref": "unique", "period": 3000, "mode": "absolute"}, "barrier": "x"}
        }
    } /* and one more */ )"),
              "");
    EXPECT_EQ(plan_->duration_ns, 2'500'000'000u);
    ASSERT_EQ(plan_->task_count, 2u);
    EXPECT_EQ(plan_->thread_count, 4u);
    const Task& one = plan_->tasks[0];
    EXPECT_EQ(std::string(one.name.text()), "one");
    EXPECT_EQ(one.instances, 3u);
    EXPECT_EQ(one.loops, 7u);
    EXPECT_EQ(one.delay_ns, 20'000u);
    EXPECT_EQ(one.priority, 20u);
    EXPECT_EQ(one.attributes.weight, 2048u);
    EXPECT_EQ(one.cpus, 0b1000'0101u);
    EXPECT_EQ(one.attributes.runtime_ns, 300'000u);
    ASSERT_EQ(one.phase_count, 2u);
    const Phase& a = plan_->phases_of(one)[0];
    EXPECT_EQ(a.loops, 2u);
    ASSERT_EQ(a.action_count, 3u);
    EXPECT_EQ(plan_->actions_of(a)[0].step, Step::Run);
    EXPECT_EQ(plan_->actions_of(a)[0].duration_ns, 100'000u);
    EXPECT_EQ(plan_->actions_of(a)[2].step, Step::Sleep);
    EXPECT_EQ(plan_->actions_of(a)[2].duration_ns, 300'000u);
    const Phase& b = plan_->phases_of(one)[1];
    EXPECT_EQ(b.loops, 1u);
    ASSERT_EQ(b.action_count, 4u);
    EXPECT_EQ(plan_->actions_of(b)[0].step, Step::Lock);
    EXPECT_EQ(plan_->actions_of(b)[0].resource, plan_->actions_of(b)[2].resource);
    const Task& two = plan_->tasks[1];
    EXPECT_EQ(two.priority, kDefaultPriority);
    EXPECT_EQ(two.cpus, 0u);
    EXPECT_EQ(two.attributes.runtime_ns, 1'000'000u);
    EXPECT_EQ(two.attributes.deadline_ns, 2'000'000u);
    EXPECT_EQ(two.attributes.period_ns, 3'000'000u);
    EXPECT_EQ(plan_->actions_of(plan_->phases_of(two)[0])[0].duration_ns, 3'000'000u);
    ASSERT_EQ(plan_->resource_count, 2u);
    EXPECT_FALSE(plan_->resources[0].is_barrier);
    EXPECT_TRUE(plan_->resources[1].is_barrier);
    EXPECT_EQ(plan_->resources[1].participants, 4u);
}

TEST_F(PlanParserTest, WithoutALoopATaskGoesOnUntilTheEnd) {
    ASSERT_EQ(parse_tasks(R"("a": {"run": 1}, "b": {"loop": -1, "run": 1})"), "");
    EXPECT_EQ(plan_->tasks[0].loops, Task::kForEver);
    EXPECT_EQ(plan_->tasks[1].loops, Task::kForEver);
    EXPECT_EQ(parse("{\"tasks\":{\n  \"a\":{\"loop\":1,\"run\":1}, \"b\": {\"run\":1}}}"),
              "2:27: task \"b\" never ends: give it a \"loop\", or \"global\" a \"duration\"");
}

TEST_F(PlanParserTest, AParserReadsOneFileAfterTheOther) {
    ASSERT_NE(parse_tasks(R"("a": {"lock": "m"})"), "");
    ASSERT_EQ(parse_tasks(R"("a": {"lock": "m", "lock1": "n", "unlock": "n", "unlock1": "m"})"), "");
    ASSERT_EQ(parse_tasks(R"("a": {"lock": "n", "lock1": "m", "unlock": "n", "unlock1": "m"})"), "");
    EXPECT_EQ(plan_->resource_count, 2u);
    // The other way round than in the file before.
    EXPECT_EQ(
        parse_tasks(R"("a": {"lock": "m", "unlock": "m", "lock1": "n", "lock2": "m", "unlock2": "m", "unlock1": "n"})"),
        "");
}

TEST_F(PlanParserTest, EachMistakeHasItsPlaceAndItsSentence) {
    const struct {
        const char* text;
        const char* problem;
    } kFiles[] = {
        {"", "1:1: the file is no object: a { is missing"},
        {"[]", "1:1: the file is no object: a { is missing"},
        {"{} {}", "1:4: the file ends with its first }; there is more behind it"},
        {"{}", "1:1: there are no \"tasks\""},
        {"{\"tasks\":{}}", "1:1: there are no \"tasks\""},
        {"{\"tasks\":{\"a\":{}},\n \"tasks\":{}}", "1:11: task \"a\" does nothing: it has no steps"},
        {"{\"global\":{}, \"global\":{}}", "1:15: \"global\" is there twice"},
        {"{\n  \"globl\": {}}", "2:3: unknown key \"globl\" in the file; it takes global and tasks"},
        {"{\"global\": {\"duration\": 1, \"calibration\": \"CPU0\"}}",
         "1:28: unknown key \"calibration\" in \"global\"; it takes duration"},
        {"{\"global\": {\"duration\": 0}}", "1:25: \"duration\" takes seconds from 0.001 to 3600, to the millisecond"},
        {"{\"global\": {\"duration\": 0.0001}}",
         "1:25: \"duration\" takes seconds from 0.001 to 3600, to the millisecond"},
        {"{\"global\": {\"duration\": 1.}}", "1:25: \"duration\" takes seconds from 0.001 to 3600, to the millisecond"},
        {"{\"global\": {\"duration\": -1}}", "1:25: \"duration\" takes seconds from 0.001 to 3600, to the millisecond"},
        {"{\"global\": 1}", "1:12: \"global\" is no object: a { is missing"},
        {"{\"global\": {\"duration\": 1,}}", "1:27: a , stands before the }"},
        {"{\"global\" {}}", "1:11: a : is missing behind \"global\""},
        {"{\"global\": {} \"tasks\": {}}", "1:15: a , or } is missing behind \"global\""},
        {"{\"global\": {}", "1:14: a , or } is missing behind \"global\""},
        {"{\"glo\nbal\": {}}", "1:2: the text's second quote is missing"},
        {"{\"glo\\u0062al\": {}}", "1:6: texts have no \\ here"},
        {"{global: {}}", "1:2: a text in quotes is missing"},
        {"/* ä */ {\n/* no end", "2:1: the comment is not closed"},
        {"/* äöü */ {\"x\": 1}", "1:12: unknown key \"x\" in the file; it takes global and tasks"},
    };
    for (const auto& file : kFiles) EXPECT_EQ(parse(file.text), file.problem) << file.text;

    const struct {
        const char* tasks;
        const char* problem;
    } kTasks[] = {
        {R"("a b": {"run": 1})", "2:1: a name has 1 to 24 letters, digits, -, _ and ."},
        {R"("": {"run": 1})", "2:1: a name has 1 to 24 letters, digits, -, _ and ."},
        {R"("a": {"run": 1}, "a": {"run": 1})", "2:18: \"a\" is there twice"},
        {R"("a": {"rum": 1})",
         "2:7: unknown key \"rum\" in a task; it takes instance, loop, delay, priority, weight, slice, dl-runtime, "
         "dl-deadline, dl-period, cpus, phases and steps"},
        {R"("a": {"policy": "SCHED_FIFO"})",
         "2:7: unknown key \"policy\" in a task; it takes instance, loop, delay, priority, weight, slice, dl-runtime, "
         "dl-deadline, dl-period, cpus, phases and steps"},
        {R"("a": {"phases": {"p": {"priority": 1}}})",
         "2:24: unknown key \"priority\" in a phase; it takes loop and steps: run, sleep, timer, lock, unlock, "
         "barrier, yield"},
        {R"("a": {"phases": {"p": {}}})", "2:18: phase \"p\" has no steps"},
        {R"("a": {"phases": {}})", "2:1: task \"a\" does nothing: it has no steps"},
        {R"("a": {"phases": {"p": {"run": 1}}, "run": 1})",
         "2:36: a task has \"phases\" or steps of its own, not both"},
        {R"("a": {"run": 1, "phases": {"p": {"run": 1}}})",
         "2:17: a task has \"phases\" or steps of its own, not both"},
        {R"("a": {"run": 1, "run": 2})", "2:17: \"run\" is there twice"},
        {R"("a": {"cpus": 1, "run": 1})", "2:15: \"cpus\" takes numbers of CPUs in brackets: [0, 1]"},
        {R"("a": {"cpus": [], "run": 1})", "2:16: \"cpus\" takes a number from 0 to 63"},
        {R"("a": {"cpus": [1 2], "run": 1})", "2:18: a , or ] is missing behind a CPU"},
        {R"("a": {"cpus": [64], "run": 1})", "2:16: \"cpus\" takes a number from 0 to 63"},
        {R"("a": {"run": 0})", "2:14: \"run\" takes a number from 1 to 3600000000"},
        {R"("a": {"run": -5})", "2:14: \"run\" takes a number from 1 to 3600000000"},
        {R"("a": {"run": 1.5})", "2:14: \"run\" takes a number from 1 to 3600000000"},
        {R"("a": {"run": "1"})", "2:14: \"run\" takes a number from 1 to 3600000000"},
        {R"("a": {"run": 99999999999999999999999})", "2:14: \"run\" takes a number from 1 to 3600000000"},
        {R"("a": {"run": 1x})", "2:14: \"run\" takes a number from 1 to 3600000000"},
        {R"("a": {"sleep": 1, "loop": 0})", "2:27: \"loop\" takes a number from 1 to 10000000, or, of a task, -1"},
        {R"("a": {"phases": {"p": {"run": 1, "loop": -1}}})",
         "2:42: \"loop\" takes a number from 1 to 10000000, or, of a task, -1"},
        {R"("a": {"instance": 10001, "run": 1})", "2:19: \"instance\" takes a number from 1 to 10000"},
        {R"("a": {"instance": 6000, "run": 1}, "b": {"instance": 6000, "run": 1})",
         "2:36: with this task there are more than 10000 threads"},
        {R"("a": {"priority": 32, "run": 1})", "2:19: \"priority\" takes a number from 0 to 31"},
        {R"("a": {"weight": 15, "run": 1})", "2:17: \"weight\" takes a number from 16 to 65536"},
        {R"("a": {"yield": "now"})", "2:16: \"yield\" takes \"\""},
        {R"("a": {"timer": 5})", "2:16: \"timer\" is no object: a { is missing"},
        {R"("a": {"timer": {"ref": "unique"}})", "2:16: a timer needs a \"period\""},
        {R"("a": {"timer": {"ref": "tick", "period": 5}})", "2:24: \"ref\" takes \"unique\": each thread has a timer"},
        {R"("a": {"timer": {"mode": "relative", "period": 5}})", "2:25: \"mode\" takes \"absolute\""},
        {R"("a": {"timer": {"periode": 5}})",
         "2:17: unknown key \"periode\" in \"timer\"; it takes period, ref and mode"},
        {R"("a": {"dl-runtime": 5, "run": 1})",
         "2:1: task \"a\": dl-runtime needs a dl-period, both more than 0, with dl-runtime <= dl-deadline <= dl-period "
         "<= 10 s, and no slice"},
        {R"("a": {"dl-runtime": 5, "dl-period": 4, "run": 1})",
         "2:1: task \"a\": dl-runtime needs a dl-period, both more than 0, with dl-runtime <= dl-deadline <= dl-period "
         "<= 10 s, and no slice"},
        {R"("a": {"slice": 5, "dl-period": 400, "run": 1})",
         "2:1: task \"a\": dl-runtime needs a dl-period, both more than 0, with dl-runtime <= dl-deadline <= dl-period "
         "<= 10 s, and no slice"},
        {R"("a": {"lock": "m"})", "2:1: lock \"m\" is not given back"},
        {R"("a": {"phases": {"p": {"lock": "m"}, "q": {"unlock": "m"}}})", "2:18: lock \"m\" is not given back"},
        {R"("a": {"unlock": "m"})", "2:17: \"m\" is not held here"},
        {R"("a": {"lock": "m", "lock1": "m", "unlock": "m"})", "2:29: \"m\" is held already; it would wait for itself"},
        {R"("a": {"lock": "m", "barrier": "b", "unlock": "m"})",
         "2:31: a thread that holds \"m\" would wait at barrier \"b\""},
        {R"("a": {"lock": "m", "unlock": "m", "barrier": "m"})", "2:46: \"m\" is a lock elsewhere"},
        {R"("a": {"instance": 2, "barrier": "m", "lock": "m"})", "2:46: \"m\" is a barrier elsewhere"},
        {R"("a": {"lock": "m", "lock1": "n", "unlock": "n", "unlock1": "m"},
"b": {"lock": "n", "lock1": "m", "unlock": "n", "unlock1": "m"})",
         "3:29: \"m\" is taken while \"n\" is held, and elsewhere it is the other way round: they would wait for each "
         "other"},
        {R"("a": {"lock": "m", "lock1": "n", "unlock": "n", "unlock1": "m"},
"b": {"lock": "n", "lock1": "o", "unlock": "n", "unlock1": "o"},
"c": {"lock": "o", "lock1": "m", "unlock": "o", "unlock1": "m"})",
         "4:29: \"m\" is taken while \"o\" is held, and elsewhere it is the other way round: they would wait for each "
         "other"},
        {R"("a": {"barrier": "b", "run": 1})", "2:7: one thread alone comes to barrier \"b\""},
        {R"("a": {"loop": 4, "barrier": "b"}, "b": {"loop": 2, "phases": {"p": {"loop": 3, "barrier": "b"}}})",
         "2:80: threads of \"b\" come to barrier \"b\" 6 times, those of others 4 times"},
        {R"("a": {"loop": 4, "barrier": "b"}, "b": {"barrier": "b"})",
         "2:41: threads of \"b\" come to barrier \"b\" for ever, those of others 4 times"},
    };
    for (const auto& [tasks, problem] : kTasks) EXPECT_EQ(parse_tasks(tasks), problem) << tasks;
}

TEST_F(PlanParserTest, WhatIsTooMuchIsNamed) {
    std::string tasks, phases, steps, locks;
    for (int i = 0; i < 130; ++i) {
        const std::string number = std::to_string(i), comma = i == 0 ? "" : ",";
        if (i < 33) tasks += comma + "\"t" + number + "\":{\"run\":1}";
        phases += comma + "\"p" + number + "\":{\"run\":1}";
        if (i < 65) locks += comma + "\"lock" + number + "\":\"l" + number + "\"";
    }
    EXPECT_NE(parse_tasks(tasks).find("there are more than 32 tasks"), std::string::npos) << parse_tasks(tasks);
    const std::string many = parse_tasks("\"a\":{\"phases\":{" + phases + "}}");
    EXPECT_NE(many.find("there are more than 128 phases"), std::string::npos) << many;
    const std::string held = parse_tasks("\"a\":{" + locks + "}");
    EXPECT_NE(held.find("there are more than 64 locks and barriers"), std::string::npos) << held;
    for (int i = 0; i < 300; ++i) steps += (i == 0 ? "\"run" : ",\"run") + std::to_string(i) + "\":1";
    const std::string keys = parse_tasks("\"a\":{" + steps + "}");
    EXPECT_NE(keys.find("there are too many keys"), std::string::npos) << keys;
    std::string several;
    for (int p = 0; p < 6; ++p) {
        several += (p == 0 ? "\"p" : ",\"p") + std::to_string(p) + "\":{";
        for (int i = 0; i < 100; ++i) several += (i == 0 ? "\"run" : ",\"run") + std::to_string(i) + "\":1";
        several += "}";
    }
    const std::string actions = parse_tasks("\"a\":{\"phases\":{" + several + "}}");
    EXPECT_NE(actions.find("there are more than 512 steps"), std::string::npos) << actions;
}

TEST_F(PlanParserTest, NoBeginningOfAFileIsTakenForAWholeOne) {
    const std::string file =
        R"({"global":{"duration":1.5},"tasks":{"a":{"instance":2,"phases":{"p":{"run":1,"barrier":"b"}}}}})";
    ASSERT_EQ(parse(file), "");
    for (size_t size = 0; size < file.size(); ++size) EXPECT_NE(parse(file.substr(0, size)), "") << size;
}

}  // namespace

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The kernel's trace becomes a file in which lanes, arrows and calls fit together; one that does not fit is refused.

#include "trace_file.hpp"

#include "failure.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <vector>

namespace helix::tool {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A trace as the kernel prints it, entry by entry.
class Line {
public:
    Line& add(uint64_t time_ns, uint32_t cpu, const char* kind, const char* detail, uint32_t id, const char* name,
              uint32_t other_id = 0, const char* other_name = "") {
        entries_.push_back({{"time_ns", time_ns},
                            {"cpu", cpu},
                            {"kind", kind},
                            {"detail", detail},
                            {"id", id},
                            {"name", name},
                            {"other_id", other_id},
                            {"other_name", other_name}});
        return *this;
    }
    std::string text(uint64_t lost = 0) const {
        return std::string(kTraceLine) + entries_.dump() + ",\"lost\":" + std::to_string(lost) + "}";
    }
    json file(uint64_t lost = 0) const { return json::parse(make_trace_file(text(lost))); }
    std::string problem(uint64_t lost = 0) const {
        std::string summary;
        return trace_file_problem(make_trace_file(text(lost)), summary);
    }

private:
    json entries_ = json::array();
};

/// Two threads on two CPUs: the first wakes the second on the other CPU.
Line two_threads() {
    return Line()
        .add(1000, 0, "thread", "", 1, "first")
        .add(1500, 0, "switch", "preempted", 1, "first", 0, "idle")
        .add(2000, 0, "thread", "", 2, "second", 1, "first")
        .add(2500, 0, "wake", "signalled", 2, "second", 1, "first")
        .add(3000, 1, "switch", "preempted", 2, "second", 0, "idle")
        .add(4000, 0, "switch", "blocked", 0, "idle", 1, "first")
        .add(6000, 1, "switch", "ended", 0, "idle", 2, "");
}

std::vector<json> events_of(const json& file, const std::string& phase) {
    std::vector<json> out;
    for (const json& event : file.at("traceEvents"))
        if (event.at("ph") == phase) out.push_back(event);
    return out;
}

/// Where the mark across all lanes with that name is; -1: there is none.
double mark_of(const json& file, const std::string& name) {
    for (const json& mark : events_of(file, "i"))
        if (mark.at("s") == "g" && mark.at("name") == name) return mark.at("ts");
    return -1;
}

TEST(TraceFile, HasASliceForEachTurnOfAThreadOnItsCpu) {
    const json file = two_threads().file();
    const std::vector<json> slices = events_of(file, "X");
    ASSERT_EQ(slices.size(), 2u);
    EXPECT_EQ(slices[0].at("name"), "first");
    EXPECT_EQ(slices[0].at("tid"), 0);
    EXPECT_EQ(slices[0].at("ts"), 1.5);
    EXPECT_EQ(slices[0].at("dur"), 2.5);
    EXPECT_EQ(slices[0].at("args").at("ended"), "blocked");
    EXPECT_EQ(slices[1].at("name"), "second") << "the name that it was created with";
    EXPECT_EQ(slices[1].at("tid"), 1);
    EXPECT_EQ(slices[1].at("ts"), 3);
    EXPECT_EQ(slices[1].at("dur"), 3);
    std::string summary;
    EXPECT_THAT(trace_file_problem(file.dump(), summary), IsEmpty());
    EXPECT_EQ(summary, "2 CPUs, 2 threads, 2 turns, 1 wake-up, 0 transactions, 0 failures");
}

TEST(TraceFile, OfWhichThereIsOneIsCountedAsOne) {
    const Line line = Line()
                          .add(1000, 0, "thread", "", 1, "only")
                          .add(1500, 0, "switch", "preempted", 1, "only", 0, "idle")
                          .add(1600, 0, "transaction", "committed", 0, "b 1.0.0", 1, "only")
                          .add(1700, 0, "failure", "fault", 3, "c", 1, "only")
                          .add(4000, 0, "switch", "blocked", 0, "idle", 1, "only");
    std::string summary;
    EXPECT_THAT(trace_file_problem(make_trace_file(line.text()), summary), IsEmpty());
    EXPECT_EQ(summary, "1 CPU, 1 thread, 1 turn, 0 wake-ups, 1 transaction, 1 failure");
}

TEST(TraceFile, AnArrowLeadsFromTheWakerToTheTurnOfTheWoken) {
    const json file = two_threads().add(7000, 0, "wake", "signalled", 1, "first", 0, "idle").file();
    const std::vector<json> starts = events_of(file, "s");
    const std::vector<json> ends = events_of(file, "f");
    ASSERT_EQ(starts.size(), 1u) << "nobody ran who could have woken the first";
    ASSERT_EQ(ends.size(), 1u);
    EXPECT_EQ(starts[0].at("ts"), 2.5);
    EXPECT_EQ(starts[0].at("tid"), 0);
    EXPECT_EQ(ends[0].at("ts"), 3);
    EXPECT_EQ(ends[0].at("tid"), 1);
    EXPECT_EQ(starts[0].at("id"), ends[0].at("id"));
}

TEST(TraceFile, TransactionsHaveTheirPhasesAndAMarkAcrossAllLanes) {
    const json file = two_threads()
                          .add(6100, 0, "phase", "hold", 0, "", 1, "first")
                          .add(6200, 0, "phase", "commit", 0, "", 1, "first")
                          .add(6300, 0, "transaction", "committed", 0, "helix.scheduler b 1.0.0", 1, "first")
                          .file();
    std::vector<std::string> names;
    for (const json& slice : events_of(file, "X"))
        if (slice.at("pid") == 2) names.push_back(slice.at("name"));
    EXPECT_THAT(names, testing::ElementsAre("hold", "commit", "helix.scheduler b 1.0.0: committed"));
    EXPECT_EQ(mark_of(file, "helix.scheduler b 1.0.0: committed"), 6.2) << "since the commit, not since it is written";
}

TEST(TraceFile, WhatWasNotCommittedIsMarkedWhereThatWasWritten) {
    const json file = two_threads()
                          .add(6100, 0, "phase", "hold", 0, "", 1, "first")
                          .add(6200, 0, "phase", "commit", 0, "", 1, "first")
                          .add(6300, 0, "transaction", "rolled-back", 0, "b 1.0.0", 1, "first")
                          .add(6400, 0, "phase", "prepare", 0, "", 1, "first")
                          .add(6500, 0, "transaction", "refused", 0, "c 1.0.0", 1, "first")
                          .add(6600, 0, "transaction", "committed", 0, "d 1.0.0", 1, "first")
                          .file();
    EXPECT_EQ(mark_of(file, "b 1.0.0: rolled-back"), 6.3);
    EXPECT_EQ(mark_of(file, "c 1.0.0: refused"), 6.5);
    EXPECT_EQ(mark_of(file, "d 1.0.0: committed"), 6.6) << "its phases were overwritten";
}

TEST(TraceFile, WhatWasOverwrittenIsSaid) {
    std::string summary;
    const std::string whole = make_trace_file(two_threads().text());
    EXPECT_EQ(overwritten_entries(whole), 0u);
    EXPECT_THAT(whole, testing::Not(HasSubstr("overwritten")));
    const std::string file = make_trace_file(two_threads().text(17));
    EXPECT_EQ(overwritten_entries(file), 17u);
    EXPECT_THAT(trace_file_problem(file, summary), IsEmpty());
    EXPECT_THAT(summary, testing::EndsWith("; 17 entries were overwritten"));
    EXPECT_EQ(mark_of(json::parse(file), "17 entries before were overwritten"), 1.0) << "where the others begin";
}

TEST(TraceFile, CallsEndThatTheTraceSawBegin) {
    const json file = two_threads()
                          .add(6100, 0, "request", "end", 7, "", 1, "first")
                          .add(6200, 0, "request", "begin", 7, "counter add", 1, "first")
                          .add(6300, 0, "request", "error", 7, "", 1, "first")
                          .add(6400, 0, "event", "begin", 7, "counter", 1, "first")
                          .file();
    const std::vector<json> begins = events_of(file, "b");
    const std::vector<json> ends = events_of(file, "e");
    ASSERT_EQ(begins.size(), 2u);
    ASSERT_EQ(ends.size(), 2u) << "what was still going on ends with the trace";
    EXPECT_EQ(begins[0].at("name"), "counter add");
    EXPECT_EQ(ends[0].at("args").at("result"), "error");
    std::string summary;
    EXPECT_THAT(trace_file_problem(file.dump(), summary), IsEmpty());
}

TEST(TraceFile, WhatDoesNotFitTogetherIsNamed) {
    EXPECT_THAT(Line().problem(), HasSubstr("no thread ever ran"));
    EXPECT_THAT(Line()
                    .add(1, 0, "switch", "preempted", 9, "nobody", 0, "idle")
                    .add(2, 0, "switch", "blocked", 0, "idle", 9, "nobody")
                    .problem(),
                HasSubstr("thread 9 runs at 0.001 us, but was never created"));
    EXPECT_THAT(Line()
                    .add(1, 0, "switch", "preempted", 9, "somebody", 0, "idle")
                    .add(2, 0, "switch", "blocked", 0, "idle", 9, "somebody")
                    .problem(5),
                IsEmpty())
        << "its creation may have been overwritten";
    EXPECT_THAT(two_threads()
                    .add(5000, 0, "switch", "preempted", 2, "second", 0, "idle")
                    .add(5500, 0, "switch", "blocked", 0, "idle", 2, "second")
                    .problem(),
                HasSubstr("thread 2 runs twice"));
    std::string summary;
    json file = two_threads().file();
    for (json& event : file.at("traceEvents"))
        if (event.at("ph") == "X") event["tid"] = 0;
    EXPECT_THAT(trace_file_problem(file.dump(), summary), HasSubstr("CPU 0 runs two threads at 3 us"));
    file = two_threads().file();
    for (json& event : file.at("traceEvents"))
        if (event.at("ph") == "f") event["ph"] = "i", event["cat"] = "";
    EXPECT_THAT(trace_file_problem(file.dump(), summary), HasSubstr("arrow 1 does not lead"));
    EXPECT_THAT(trace_file_problem("{}", summary), HasSubstr("otherData"));
    EXPECT_THAT(trace_file_problem("no JSON", summary), HasSubstr("parse error"));
}

TEST(TraceFile, ABrokenLineIsAnErrorOfTheKernel) {
    EXPECT_THROW(make_trace_file("{\"helix_trace\":[{}],\"lost\":0}"), Failure);
    EXPECT_THROW(make_trace_file("{\"helix_trace\":["), Failure);
}

TEST(TraceLineFilter, TakesTheLineOutHoweverTheTextIsCut) {
    const std::string line = two_threads().text();
    const std::string whole = "one\n{\"helix\n" + line + "\n{\"helix_tracy\":1}\nlast";
    for (size_t piece : {size_t{1}, size_t{3}, size_t{7}, whole.size()}) {
        TraceLineFilter filter;
        std::string out;
        for (size_t at = 0; at < whole.size(); at += piece) out += filter.feed(whole.substr(at, piece));
        out += filter.finish();
        EXPECT_EQ(out, "one\n{\"helix\n{\"helix_tracy\":1}\nlast") << piece;
        EXPECT_EQ(filter.line(), line) << piece;
    }
}

}  // namespace
}  // namespace helix::tool

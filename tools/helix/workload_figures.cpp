// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Figures of a workload's runs.

#include "workload_figures.hpp"

#include "failure.hpp"
#include "text.hpp"

#include "modules/workload/histogram.hpp"

#include <algorithm>
#include <memory>

namespace helix::tool {

namespace {

using Json = nlohmann::ordered_json;
using workload::Histogram;

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

/// "1.2 µs", "340 ns", "12.0 ms".
std::string duration(uint64_t nanoseconds) {
    const auto value = static_cast<double>(nanoseconds);
    if (nanoseconds < 1000) return fmt::format("{} ns", nanoseconds);
    if (nanoseconds < 1'000'000) return fmt::format("{:.1f} us", value / 1e3);
    if (nanoseconds < 1'000'000'000) return fmt::format("{:.1f} ms", value / 1e6);
    return fmt::format("{:.2f} s", value / 1e9);
}

/// Of the task whose threads were served most unevenly; 1 where each has one thread.
double fairness_of(const Json& details) {
    double worst = 1;
    for (const Json& threads : details.at("work_ns")) worst = std::min(worst, fairness_index(threads));
    return worst;
}

/// Adds the counts of a run's task to those of the runs before; of latencies the worst run's are kept.
void add_task(Json& sum, const Json& task) {
    for (const char* const key : {"loops", "steps", "work_ns", "wakeups", "missed", "refused", "migrations"})
        sum[key] = sum[key].get<uint64_t>() + task.at(key).get<uint64_t>();
    for (const char* const key : {"median", "p99", "max"})
        sum["latency_ns"][key] =
            std::max(sum["latency_ns"][key].get<uint64_t>(), task.at("latency_ns").at(key).get<uint64_t>());
    sum["least_work_ns"] = std::min(sum["least_work_ns"].get<uint64_t>(), task.at("least_work_ns").get<uint64_t>());
    sum["most_work_ns"] = std::max(sum["most_work_ns"].get<uint64_t>(), task.at("most_work_ns").get<uint64_t>());
}

}  // namespace

WorkloadRun workload_run_in(std::string_view output, std::string_view who) {
    WorkloadRun run;
    for (const std::string& line : split(output, '\n')) {
        if (line.starts_with("{\"ended\":")) run.summary = Json::parse(line, nullptr, false);
        if (line.starts_with("{\"latencies_ns\":")) run.details = Json::parse(line, nullptr, false);
    }
    if (run.summary.is_object() && run.details.is_object()) return run;
    std::string said;
    for (const std::string& line : split(output, '\n'))
        if (line.find("error") != std::string::npos) said = line;
    throw Failure(ExitStatus::Failed, "{}: it measured nothing: {}", who, said.empty() ? trim(output) : said);
}

double fairness_index(const std::vector<double>& shares) {
    double sum = 0, squares = 0;
    for (const double share : shares) {
        sum += share;
        squares += share * share;
    }
    return squares == 0 ? 1 : sum * sum / (static_cast<double>(shares.size()) * squares);
}

WorkloadFigures workload_figures(std::string name, const std::vector<WorkloadRun>& runs) {
    WorkloadFigures out;
    out.name = std::move(name);
    out.runs = static_cast<unsigned>(runs.size());
    const auto latencies = std::make_unique<Histogram>();
    std::vector<double> throughputs, fairnesses;
    for (const WorkloadRun& run : runs) {
        const auto number = [&](const char* key) { return run.summary.at(key).get<uint64_t>(); };
        const uint64_t elapsed_ns = std::max<uint64_t>(number("elapsed_ns"), 1);
        out.elapsed_s += static_cast<double>(elapsed_ns) / 1e9;
        throughputs.push_back(static_cast<double>(number("work_ns")) / static_cast<double>(elapsed_ns));
        fairnesses.push_back(fairness_of(run.details));
        out.loops += number("loops");
        out.wakeups += number("wakeups");
        out.switches += number("switches");
        out.migrations += number("migrations");
        out.missed += number("missed");
        out.refused += number("refused");
        const auto largest = run.details.at("largest_latency_ns").get<uint64_t>();
        for (const Json& bucket : run.details.at("latencies_ns"))
            latencies->merge_bucket(bucket.at(0).get<uint64_t>(), bucket.at(1).get<uint64_t>(), largest);
        const Json& tasks = run.summary.at("tasks");
        if (out.tasks.empty()) {
            out.tasks = tasks;
        } else {
            for (size_t i = 0; i < tasks.size(); ++i) add_task(out.tasks.at(i), tasks.at(i));
        }
    }
    out.throughput = median(throughputs);
    out.fairness = median(fairnesses);
    out.median_ns = latencies->quantile(5000);
    out.p99_ns = latencies->quantile(9900);
    out.max_ns = latencies->largest();
    for (size_t i = 0; i < Histogram::kBuckets; ++i)
        if (const uint64_t count = latencies->in_bucket(i); count != 0)
            out.latencies.emplace_back(Histogram::highest_in(i), count);
    return out;
}

std::string workload_table(const std::vector<WorkloadFigures>& all) {
    size_t width = 6;
    for (const WorkloadFigures& one : all) width = std::max(width, one.name.size());
    std::string out = fmt::format("{:<{}} {:>10} {:>10} {:>10} {:>10} {:>10} {:>8} {:>10} {:>10} {:>7} {:>7}\n",
                                  "policy", width, "throughput", "loops/s", "median", "p99", "max", "fairness",
                                  "switches/s", "migr./s", "missed", "refused");
    for (const WorkloadFigures& one : all) {
        const auto latency = [&](uint64_t nanoseconds) {
            return one.wakeups == 0 ? std::string("-") : duration(nanoseconds);
        };
        out += fmt::format("{:<{}} {:>10.3f} {:>10.0f} {:>10} {:>10} {:>10} {:>8.3f} {:>10.0f} {:>10.0f} {:>7} {:>7}\n",
                           one.name, width, one.throughput, one.per_second(one.loops), latency(one.median_ns),
                           latency(one.p99_ns), latency(one.max_ns), one.fairness, one.per_second(one.switches),
                           one.per_second(one.migrations), one.missed, one.refused);
    }
    return out;
}

std::string workload_csv(const std::vector<WorkloadFigures>& all) {
    std::string out =
        "policy,runs,elapsed_s,throughput_cpus,loops,loops_per_second,wakeups,latency_median_ns,latency_p99_ns,"
        "latency_max_ns,fairness,switches,switches_per_second,migrations,migrations_per_second,missed,refused\n";
    for (const WorkloadFigures& one : all)
        out +=
            fmt::format("{},{},{:.6f},{:.6f},{},{:.3f},{},{},{},{},{:.6f},{},{:.3f},{},{:.3f},{},{}\n", one.name,
                        one.runs, one.elapsed_s, one.throughput, one.loops, one.per_second(one.loops), one.wakeups,
                        one.median_ns, one.p99_ns, one.max_ns, one.fairness, one.switches, one.per_second(one.switches),
                        one.migrations, one.per_second(one.migrations), one.missed, one.refused);
    return out;
}

std::string workload_json(const std::vector<WorkloadFigures>& all) {
    std::string out;
    for (const WorkloadFigures& one : all) {
        const Json value = {{"policy", one.name},
                            {"runs", one.runs},
                            {"elapsed_s", one.elapsed_s},
                            {"throughput_cpus", one.throughput},
                            {"loops", one.loops},
                            {"loops_per_second", one.per_second(one.loops)},
                            {"wakeups", one.wakeups},
                            {"latency_ns", {{"median", one.median_ns}, {"p99", one.p99_ns}, {"max", one.max_ns}}},
                            {"fairness", one.fairness},
                            {"switches", one.switches},
                            {"migrations", one.migrations},
                            {"missed", one.missed},
                            {"refused", one.refused},
                            {"tasks", one.tasks}};
        out += value.dump() + "\n";
    }
    return out;
}

}  // namespace helix::tool

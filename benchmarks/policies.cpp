// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// policy.NAME.pick.N, policy.NAME.tick.N: instructions of a pick and a tick among N runnable threads, in the emulator.
// fair.deviation: how far each of a hundred threads is from its ideal share after a second under the fair policy.
//
// The emulator counts a nanosecond for each instruction, so the time stamp counter counts them.
#include "guest_main.hpp"

#include <nlohmann/json.hpp>

#include <cmath>

namespace {

using namespace helix::tool;
namespace benchmark = helix::benchmark;
using Json = nlohmann::json;

constexpr auto kDeadline = std::chrono::seconds(240);
constexpr const char* kPolicies[] = {"round-robin", "priority", "fair", "deadline", "cooperative"};
constexpr unsigned kCounts[] = {10, 1000, 10'000};
constexpr double kSliceNs = 4e6;  // the fair policy's own, which the profile leaves as it is

std::string run(Session& session, const std::string& commands, std::string_view name) {
    RunOptions options;
    options.profile = (session.workspace.root / "benchmarks/helix.toml").string();
    options.architecture = Architecture::X86_64;
    options.memory_mb = 512;
    options.count_instructions = true;
    options.commands = commands;
    return benchmark::output_of(prepare_machine(session, options, nullptr), name, kDeadline);
}

/// The counter's frequency is the emulator's: a cycle is an instruction.
void measure_policy(Session& session, const std::string& policy) {
    const std::string module = "helix-scheduler-" + policy;
    // What is measured may not rule.
    const char* const ruler = policy == "round-robin" ? "priority" : "round-robin";
    std::string commands = "load helix-benchmark-policies;";
    if (policy == "round-robin")
        commands += fmt::format("swap helix.scheduler helix-scheduler-{}; sleep 1100; settle;", ruler);
    else
        commands += fmt::format("load {};", module);
    for (const unsigned count : kCounts)
        commands += fmt::format("request helix-benchmark-policies measure \"{} {}\";", module, count);
    const std::string output = run(session, commands + "poweroff", module);
    size_t count = 0;
    for (const std::string& line : split(output, '\n')) {
        const std::vector<std::string> fields = words(line);
        if (fields.empty() || (fields[0] != "pick:" && fields[0] != "tick:")) continue;
        std::vector<uint64_t> samples;
        for (size_t i = 1; i < fields.size(); ++i) samples.push_back(std::stoull(fields[i]));
        if (samples.empty() || count == 2 * std::size(kCounts)) break;
        benchmark::print_metric(
            fmt::format("policy.{}.{}.{}", policy, fields[0].substr(0, 4), kCounts[count / 2]).c_str(), "instructions",
            samples);
        ++count;
    }
    if (count != 2 * std::size(kCounts)) throw Failure(ExitStatus::Failed, "{}: {}", module, output);
}

void measure_deviation(Session& session) {
    const std::string output =
        run(session,
            "load helix-workload; swap helix.scheduler helix-scheduler-fair; sleep 1100; settle; "
            "request helix-workload start_equals 100; sleep 1000; threads --json; poweroff",
            "fair.deviation");
    const size_t begin = output.find("[{\"id\":");
    const Json threads = begin == std::string::npos
                             ? Json()
                             : Json::parse(output.substr(begin, output.find('\n', begin) - begin), nullptr, false);
    std::vector<double> runtimes;
    for (const Json& thread : threads)
        if (thread.value("name", "").starts_with("workload-")) runtimes.push_back(thread.value("runtime_ns", 0.0));
    if (runtimes.size() != 100) throw Failure(ExitStatus::Failed, "there are {} threads: {}", runtimes.size(), output);
    double sum = 0;
    for (const double runtime : runtimes) sum += runtime;
    std::vector<double> deviations;
    for (const double runtime : runtimes) deviations.push_back(std::abs(runtime - sum / 100) / kSliceNs);
    benchmark::print_metric<double>("fair.deviation", "slices", deviations);
}

void measure(Session& session) {
    for (const char* policy : kPolicies) measure_policy(session, policy);
    measure_deviation(session);
}

}  // namespace

int main(int argument_count, char** arguments) {
    return benchmark::guest_main(argument_count, arguments,
                                 {"policy.round-robin.pick.10",
                                  "policy.round-robin.tick.10",
                                  "policy.round-robin.pick.1000",
                                  "policy.round-robin.tick.1000",
                                  "policy.round-robin.pick.10000",
                                  "policy.round-robin.tick.10000",
                                  "policy.priority.pick.10",
                                  "policy.priority.tick.10",
                                  "policy.priority.pick.1000",
                                  "policy.priority.tick.1000",
                                  "policy.priority.pick.10000",
                                  "policy.priority.tick.10000",
                                  "policy.fair.pick.10",
                                  "policy.fair.tick.10",
                                  "policy.fair.pick.1000",
                                  "policy.fair.tick.1000",
                                  "policy.fair.pick.10000",
                                  "policy.fair.tick.10000",
                                  "policy.deadline.pick.10",
                                  "policy.deadline.tick.10",
                                  "policy.deadline.pick.1000",
                                  "policy.deadline.tick.1000",
                                  "policy.deadline.pick.10000",
                                  "policy.deadline.tick.10000",
                                  "policy.cooperative.pick.10",
                                  "policy.cooperative.tick.10",
                                  "policy.cooperative.pick.1000",
                                  "policy.cooperative.tick.1000",
                                  "policy.cooperative.pick.10000",
                                  "policy.cooperative.tick.10000",
                                  "fair.deviation"},
                                 measure);
}

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// scheduler.swap.hold.N: instructions inside the hold of a scheduler swap under N threads, in the emulator.
//
// It counts one nanosecond for each instruction, so the kernel's record of the pause is their number.
#include "guest_main.hpp"

#include <nlohmann/json.hpp>

#include <optional>

namespace {

using namespace helix::tool;
namespace benchmark = helix::benchmark;
using Json = nlohmann::json;

constexpr int kSwaps = 21;
constexpr auto kDeadline = std::chrono::seconds(240);

std::vector<uint64_t> holds_under(Session& session, unsigned threads) {
    std::string commands = fmt::format("load helix-workload; request helix-workload start {};", threads);
    for (int i = 0; i < kSwaps; ++i)
        commands +=
            fmt::format("sleep 20; swap helix.scheduler helix-scheduler-{};", i % 2 == 0 ? "priority" : "round-robin");
    commands += "history --json; poweroff";

    RunOptions options;
    options.profile = (session.workspace.root / "benchmarks/helix.toml").string();
    options.architecture = Architecture::X86_64;
    options.memory_mb = 512;
    options.count_instructions = true;
    options.commands = commands;
    const MachineSpec spec = prepare_machine(session, options, nullptr);
    const std::string output = benchmark::output_of(spec, fmt::format("{} threads", threads), kDeadline);

    std::vector<uint64_t> holds;
    const size_t begin = output.find("[{\"id\":");
    const size_t end = output.find('\n', begin);
    const Json history =
        begin == std::string::npos ? Json() : Json::parse(output.substr(begin, end - begin), nullptr, false);
    for (const Json& record : history)
        if (record.value("interface", "") == "helix.scheduler" && record.value("result", "") == "committed")
            holds.push_back(record["pause_ns"]);
    if (holds.size() != kSwaps)
        throw Failure(ExitStatus::Failed, "{} of {} swaps under {} threads were committed: {}", holds.size(), kSwaps,
                      threads, output);
    return holds;
}

void measure(Session& session) {
    for (const unsigned threads : {100u, 1000u, 10'000u})
        benchmark::print_metric(fmt::format("scheduler.swap.hold.{}", threads).c_str(), "instructions",
                                holds_under(session, threads));
}

}  // namespace

int main(int argument_count, char** arguments) {
    return benchmark::guest_main(argument_count, arguments,
                                 {"scheduler.swap.hold.100", "scheduler.swap.hold.1000", "scheduler.swap.hold.10000"},
                                 measure);
}

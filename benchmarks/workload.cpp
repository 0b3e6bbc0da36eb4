// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// workload.throughput, workload.wakeup and the same of others: workload files in the emulator, beside Debian's Linux
// kernel, which runs them by the same code under the same command line of the emulator. The guests take turns.
//
// How many steps of computation are a millisecond is measured once, in Helix, and both do as many: on a CPU that has
// the machine to itself. What two of them do at the same time, with nothing else to do, is what the throughput of any
// other file can come to: that of `computing`.
#include "debian_kernel.hpp"
#include "guest_main.hpp"
#include "workload_figures.hpp"

#include "files.hpp"

#include <optional>

namespace {

using namespace helix::tool;
namespace benchmark = helix::benchmark;

constexpr int kBoots = 3;
constexpr auto kDeadline = std::chrono::seconds(240);

MachineSpec helix_guest(const Session& session, const std::string& requests) {
    RunOptions options;
    options.profile = (session.workspace.root / "benchmarks/workload.toml").string();
    options.architecture = Architecture::X86_64;
    options.cpus = 2;
    options.memory_mb = 512;
    options.json = true;
    options.commands =
        "load helix-workload; swap helix.scheduler helix-scheduler-fair; sleep 100; settle;" + requests + "poweroff";
    MachineSpec spec = prepare_machine(session, options, nullptr);
    spec.emulated = true;
    return spec;
}

/// The best of some: whatever disturbs makes fewer of them.
uint64_t steps_in_ms(const Session& session) {
    std::string requests;
    for (int i = 0; i < 5; ++i) requests += "request helix-workload calibrate;";
    uint64_t best = 0;
    for (const std::string& line :
         split(benchmark::output_of(helix_guest(session, requests), "calibration", kDeadline), '\n')) {
        const auto value = nlohmann::json::parse(line, nullptr, false);
        if (value.is_object() && value.contains("steps_per_ms"))
            best = std::max(best, value["steps_per_ms"].get<uint64_t>());
    }
    if (best == 0) throw Failure(ExitStatus::Failed, "the speed of a CPU could not be measured");
    return best;
}

struct Figure {
    const char* name;
    const char* unit;
    double (*value)(const WorkloadFigures&);
};
constexpr Figure kThroughput{"throughput", "cpus", [](const WorkloadFigures& one) { return one.throughput; }};
constexpr Figure kLoops{"loops", "loops/s", [](const WorkloadFigures& one) { return one.per_second(one.loops); }};
constexpr Figure kWakeup{"wakeup", "ns", [](const WorkloadFigures& one) { return static_cast<double>(one.median_ns); }};

/// `metrics` begins the names of the `figures` of `file`.
void measure_file(Session& session, const std::string& file, std::string_view metrics, uint64_t steps,
                  std::initializer_list<Figure> figures) {
    const std::string text = read_file(session.workspace.root / "modules/workload/examples" / (file + ".json"));
    const MachineSpec helix =
        helix_guest(session, fmt::format("request helix-workload calibrate {}; request helix-workload run '{}'; "
                                         "request helix-workload details;",
                                         steps, text));
    std::optional<MachineSpec> peer = benchmark::linux_guest(session, helix, "workload.*", text);
    if (peer) peer->command_line += fmt::format(" -- workload {}", steps);
    std::vector<WorkloadFigures> ours, theirs;
    for (int i = 0; i < kBoots; ++i) {
        ours.push_back(
            workload_figures("helix", {workload_run_in(benchmark::output_of(helix, "Helix", kDeadline), "Helix")}));
        if (peer)
            theirs.push_back(
                workload_figures("linux", {workload_run_in(benchmark::output_of(*peer, "Linux", kDeadline), "Linux")}));
    }
    for (const Figure& figure : figures) {
        const auto all = [&](const std::vector<WorkloadFigures>& runs) {
            std::vector<double> out;
            for (const WorkloadFigures& one : runs) out.push_back(figure.value(one));
            return out;
        };
        benchmark::Peers<double> peers;
        if (peer) peers.emplace_back("linux", all(theirs));
        benchmark::print_metric<double>(fmt::format("{}.{}", metrics, figure.name).c_str(), figure.unit, all(ours),
                                        peers);
    }
}

void measure(Session& session) {
    const uint64_t steps = steps_in_ms(session);
    measure_file(session, "mixed", "workload", steps, {kThroughput, kLoops, kWakeup});
    measure_file(session, "sleepers", "workload.sleepers", steps, {kThroughput, kLoops, kWakeup});
    measure_file(session, "computing", "workload.computing", steps, {kThroughput});
}

}  // namespace

int main(int argument_count, char** arguments) {
    return benchmark::guest_main(
        argument_count, arguments,
        {"workload.throughput", "workload.loops", "workload.wakeup", "workload.sleepers.throughput",
         "workload.sleepers.loops", "workload.sleepers.wakeup", "workload.computing.throughput"},
        measure);
}

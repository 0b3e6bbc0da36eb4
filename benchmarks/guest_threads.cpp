// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// guest.switch_pair, guest.thread_create_join, guest.wakeup: threads of Helix on two emulated CPUs, beside Debian's
// Linux kernel that runs the same code under the same command line of the emulator.
//
// The guests take turns, a few boots each. Both read the time stamp counter, which the emulator answers with that of
// the host: samples are time on the host, and are converted with the frequency seen here from the first boot to the
// last.
#include "debian_kernel.hpp"
#include "guest_main.hpp"
#include "modules/benchmark/thread_timing.hpp"

#include <array>
#include <map>
#include <optional>

namespace {

using namespace helix::tool;
namespace benchmark = helix::benchmark;

constexpr int kBoots = 3;
constexpr auto kDeadline = std::chrono::seconds(120);

struct Measurement {
    std::string_view name;
    uint64_t operations;  ///< in a sample
};
constexpr std::array kMeasurements = {Measurement{"switch_pair", benchmark::kSwitchesInSample},
                                      Measurement{"thread_create_join", benchmark::kThreadsInSample},
                                      Measurement{"wakeup", 1}};

/// Cycles of each measurement, from all boots of a guest.
using Samples = std::map<std::string_view, std::vector<uint64_t>>;

uint64_t host_cycles() {
    return __builtin_ia32_rdtsc();
}

MachineSpec helix_guest(const Session& session) {
    RunOptions options;
    options.profile = (session.workspace.root / "benchmarks/helix.toml").string();
    options.architecture = Architecture::X86_64;
    options.cpus = 2;
    options.memory_mb = 512;
    std::string commands = "load helix-benchmark-threads;";
    for (const Measurement& measurement : kMeasurements)
        commands += fmt::format("request helix-benchmark-threads {};", measurement.name);
    options.commands = commands + "poweroff";
    MachineSpec spec = prepare_machine(session, options, nullptr);
    spec.emulated = true;
    return spec;
}

void boot(const MachineSpec& spec, std::string_view name, Samples& samples) {
    const std::string output = benchmark::output_of(spec, name, kDeadline);
    for (const Measurement& measurement : kMeasurements) {
        size_t found = 0;
        for (const std::string& line : split(output, '\n')) {
            std::vector<std::string> numbers = words(line);
            if (numbers.empty() || numbers[0] != fmt::format("{}:", measurement.name)) continue;
            for (size_t i = 1; i < numbers.size(); ++i, ++found)
                samples[measurement.name].push_back(std::stoull(numbers[i]));
        }
        if (found != benchmark::kThreadSamples)
            throw Failure(ExitStatus::Failed, "{}: {} samples of {}, not {}: {}", name, found, measurement.name,
                          benchmark::kThreadSamples, trim(output));
    }
}

void measure(Session& session) {
    const MachineSpec helix = helix_guest(session);
    const std::optional<MachineSpec> peer = benchmark::linux_guest(session, helix, "guest.*");
    Samples helix_samples, linux_samples;
    const auto begin = Clock::now();
    const uint64_t begin_cycles = host_cycles();
    for (int i = 0; i < kBoots; ++i) {
        boot(helix, "Helix", helix_samples);
        if (peer) boot(*peer, "Linux", linux_samples);
    }
    const double cycles = static_cast<double>(host_cycles() - begin_cycles);
    const double cycles_in_ns = cycles / std::chrono::duration<double, std::nano>(Clock::now() - begin).count();

    for (const Measurement& measurement : kMeasurements) {
        const auto nanoseconds = [&](Samples& samples) {
            std::vector<uint64_t> out = samples[measurement.name];
            for (uint64_t& sample : out)
                sample = static_cast<uint64_t>(static_cast<double>(sample) / cycles_in_ns /
                                               static_cast<double>(measurement.operations));
            return out;
        };
        benchmark::Peers<uint64_t> peers;
        if (peer) peers.emplace_back("linux", nanoseconds(linux_samples));
        benchmark::print_metric(fmt::format("guest.{}", measurement.name).c_str(), "ns", nanoseconds(helix_samples),
                                peers);
    }
}

}  // namespace

int main(int argument_count, char** arguments) {
    return benchmark::guest_main(argument_count, arguments,
                                 {"guest.switch_pair", "guest.thread_create_join", "guest.wakeup"}, measure);
}

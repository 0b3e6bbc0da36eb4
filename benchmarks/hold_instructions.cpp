// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// hold.N.locks, hold.N.grace, hold.N.rendezvous: what it takes to hold N CPUs of the real image that have nothing to
// do, in instructions.
//
// The emulator runs one CPU at a time and counts the instructions of all: of a hold by locks those of the CPU that
// takes them, of the others those of all CPUs together, which real ones execute at the same time.
#include "files.hpp"
#include "guest_main.hpp"
#include "plan.hpp"

#include <array>
#include <fstream>

namespace {

using namespace helix::tool;
namespace benchmark = helix::benchmark;
namespace fs = std::filesystem;

constexpr auto kDeadline = std::chrono::seconds(120);

MachineSpec machine(const Session& session) {
    RunOptions options;
    options.profile = (session.workspace.root / "benchmarks/helix.toml").string();
    options.architecture = Architecture::X86_64;
    options.memory_mb = 512;
    options.count_instructions = true;
    MachineSpec spec = prepare_machine(session, options, nullptr);
    // The same bundle in another kernel.
    const fs::path kernel = session.workspace.programs() / "helix-hold-guest.elf";
    const BootPlan plan = make_plan(load_profile(options.profile), ModuleLibrary(session.workspace.modules()));
    spec.files.kernel = session.workspace.images() / "helix-hold-guest.elf";
    std::ofstream(spec.files.kernel, std::ios::binary)
        << embed_bundle(read_file(kernel), make_bundle(plan), kernel.string());
    return spec;
}

void measure(Session& session) {
    MachineSpec spec = machine(session);
    for (const uint32_t cpus : {2u, 4u, 8u, 16u, 32u, 64u}) {
        spec.cpus = cpus;
        const std::string output = benchmark::output_of(spec, fmt::format("{} CPUs", cpus), kDeadline);
        size_t found = 0;
        for (const std::string& line : split(output, '\n')) {
            const std::vector<std::string> fields = words(line);
            if (fields.size() < 2) continue;
            if (fields[0] == "cpus" && fields[1] == std::to_string(cpus)) ++found;
            if (fields[0] != "locks" && fields[0] != "grace" && fields[0] != "rendezvous") continue;
            std::vector<uint64_t> samples;
            for (size_t i = 1; i < fields.size(); ++i) samples.push_back(std::stoull(fields[i]));
            benchmark::print_metric(fmt::format("hold.{}.{}", cpus, fields[0]).c_str(), "instructions", samples);
            ++found;
        }
        if (found != 4) throw Failure(ExitStatus::Failed, "{} CPUs: it printed {}", cpus, trim(output));
    }
}

}  // namespace

int main(int argument_count, char** arguments) {
    return benchmark::guest_main(
        argument_count, arguments,
        {"hold.2.locks", "hold.2.grace", "hold.2.rendezvous", "hold.4.locks", "hold.4.grace", "hold.4.rendezvous",
         "hold.8.locks", "hold.8.grace", "hold.8.rendezvous", "hold.16.locks", "hold.16.grace", "hold.16.rendezvous",
         "hold.32.locks", "hold.32.grace", "hold.32.rendezvous", "hold.64.locks", "hold.64.grace",
         "hold.64.rendezvous"},
        measure);
}

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// boot.spawn_to_prompt: from the start of the emulator to the shell's prompt, beside Debian's Linux kernel under the
// same command line of the emulator, up to the first line of its only program. The guests take turns.
#include "debian_kernel.hpp"
#include "guest_main.hpp"

#include <optional>

namespace {

using namespace helix::tool;
namespace benchmark = helix::benchmark;

constexpr int kBoots = 11;
constexpr auto kDeadline = std::chrono::seconds(60);
constexpr std::string_view kFirstLine = "first_line";  ///< of the program in the Linux guest, which is told to say so

MachineSpec helix_guest(const Session& session) {
    RunOptions options;
    options.architecture = Architecture::X86_64;
    options.memory_mb = 256;
    options.append = kInteractiveWord;
    MachineSpec spec = prepare_machine(session, options, nullptr);
    spec.emulated = true;
    return spec;
}

/// Milliseconds until the machine has printed `awaited`; it is ended then.
double time_until(std::string_view awaited, const MachineSpec& spec) {
    const auto begin = Clock::now();
    const Deadline deadline = deadline_after(kDeadline);
    Child child({.arguments = machine_command(spec), .input = ChildInput::Pipe, .output = ChildOutput::Pipe});
    std::string output;
    while (output.find(awaited) == std::string::npos) {
        const std::optional<std::string> part = child.read(deadline);
        if (!part || part->empty())
            throw Failure(ExitStatus::Failed, "no \"{}\" came: {}", trim(awaited), trim(output + child.errors()));
        output += *part;
    }
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

void measure(Session& session) {
    const MachineSpec helix = helix_guest(session);
    std::optional<MachineSpec> peer = benchmark::linux_guest(session, helix, "boot.spawn_to_prompt");
    // What stands behind "--" goes to the program.
    if (peer) peer->command_line += fmt::format(" -- {}", kFirstLine);
    std::vector<double> helix_samples, linux_samples;
    for (int i = 0; i < kBoots; ++i) {
        helix_samples.push_back(time_until(kPrompt, helix));
        if (peer) linux_samples.push_back(time_until(kFirstLine, *peer));
    }
    benchmark::Peers<double> peers;
    if (peer) peers.emplace_back("linux", linux_samples);
    benchmark::print_metric<double>("boot.spawn_to_prompt", "ms", helix_samples, peers);
}

}  // namespace

int main(int argument_count, char** arguments) {
    return benchmark::guest_main(argument_count, arguments, {"boot.spawn_to_prompt"}, measure);
}

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A machine that runs the kernel: an emulator or a Linux process, its command line, its end.
#pragma once

#include "boot_image.hpp"
#include "process.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace helix::tool {

/// What the kernel's shell prints when it waits for a person's command.
inline constexpr std::string_view kPrompt = "helix> ";
/// The word on the kernel's command line that says that a person sits there: prompt, echo, editing.
inline constexpr std::string_view kInteractiveWord = "interactive=1";

struct MachineSpec {
    Architecture architecture = Architecture::X86_64;
    BootFiles files;
    std::string machine = "q35";  ///< q35, pc or microvm; x86_64 only
    uint64_t memory_mb = 256;
    uint32_t cpus = 1;
    std::string command_line;  ///< words "key=value" for the kernel
    bool count_instructions = false;
    bool emulated = false;           ///< even where the CPU virtualises in hardware; x86_64 only
    std::optional<uint64_t> replay;  ///< hosted only
    bool interactive = false;        ///< a person at a terminal
};

std::vector<std::string> machine_command(const MachineSpec& spec);

/// How the machine ended, in the kernel's terms.
struct MachineEnd {
    int status = 0;       ///< the kernel's own, or an ExitStatus of the tool
    std::string problem;  ///< one line, empty when all went well
};

/// `errors` is what the program wrote to standard error.
MachineEnd decode_end(const MachineSpec& spec, const ChildEnd& end, std::string_view errors);

struct MachineRun {
    MachineEnd end;
    std::string errors;
};
/// Runs without a terminal. `input` is passed on to the kernel's console, its end as Ctrl-D; -1: nothing is typed.
/// `output` gets what the kernel prints, without carriage returns.
MachineRun run_machine(const MachineSpec& spec, int input, const std::function<void(std::string_view)>& output,
                       Deadline deadline);
/// Runs on the terminal of the tool, and leaves the terminal as it was.
MachineEnd run_machine_on_terminal(const MachineSpec& spec, Deadline deadline);

}  // namespace helix::tool

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Scripts: what to boot, what to type and what must come back. Tests (.test) and measurements (.bench) are scripts.
//
// tests/README.md describes the format.
#pragma once

#include "commands.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace helix::tool {

struct Script {
    std::filesystem::path file;
    std::string purpose;  ///< the comment at its top
    std::string profile = "minimal";
    std::vector<Architecture> architectures;
    std::vector<std::string> machines{"q35"};
    std::optional<uint64_t> memory_mb;
    uint32_t cpus = 1;
    double timeout_s = 60;
    std::vector<uint64_t> seeds;  ///< replay seeds, hosted only; empty: real time
    uint32_t same = 1;            ///< runs that must print the same
    bool is_long = false;
    bool json = false;
    bool count_instructions = false;
    std::string append;
    std::vector<std::string> files;
    int status = 0;
    std::vector<std::string> commands;  ///< for --exec
    std::optional<std::string> input;   ///< for standard input instead
    std::vector<std::string> expected;  ///< lines that come in this order, or /patterns/
    std::vector<std::string> rejected;  ///< that never come
    std::vector<std::string> metrics;   ///< what a measurement prints

    /// The commands as --exec takes them.
    std::string command_text() const;
};

/// Throws Failure(Failed) with "file:line: …".
Script parse_script(std::string_view text, const std::filesystem::path& file);

/// One variant of a script: which machine, which seed.
struct Variant {
    Architecture architecture = Architecture::Hosted;
    std::string machine = "q35";
    std::optional<uint64_t> seed;
};
RunOptions run_options(const Script& script, const Variant& variant, const Workspace& workspace);
/// The command line that repeats it.
std::string repeating_command(const Script& script, const Variant& variant, const Workspace& workspace);

/// What is wrong with `output`, one sentence; empty when it is as the script expects.
std::string compare_output(const Script& script, std::string_view output);

}  // namespace helix::tool

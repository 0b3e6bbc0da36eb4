// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Which lines of the kernel the hosted tests execute, by Clang's source-based counters.
#pragma once

#include "commands.hpp"

namespace helix::tool {

/// For a build with HELIX_COVERAGE, whose programs are `programs`.
class Coverage {
public:
    /// From now on children of this process count into files of the build; what earlier ones counted is forgotten.
    /// Throws Failure. Before other threads run.
    Coverage(const Session& session, std::vector<std::string> programs);
    /// Prints the covered lines of each file of the kernel and the hosted port, and of each folder; each line's count
    /// is in the HTML pages that it names. Throws Failure.
    void report() const;

private:
    std::vector<std::string> tool_arguments(const std::string& command, const std::string& option) const;

    const Session& session_;
    std::filesystem::path folder_;
    std::vector<std::string> programs_;
};

}  // namespace helix::tool

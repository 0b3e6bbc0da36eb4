// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What benchmarks that boot emulators share: their main, and a run of a machine to its end.
#pragma once

#include "commands.hpp"
#include "failure.hpp"
#include "metric.hpp"
#include "text.hpp"

#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>

namespace helix::benchmark {

/// What the machine prints until it powers off by itself. Throws Failure if it ends otherwise; `name` says which it
/// was.
inline std::string output_of(const tool::MachineSpec& spec, std::string_view name, std::chrono::seconds limit) {
    std::string output;
    const tool::MachineRun run =
        tool::run_machine(spec, -1, [&](std::string_view text) { output += text; }, tool::deadline_after(limit));
    if (run.end.status != 0)
        throw tool::Failure(tool::ExitStatus::Failed, "{}: {}: {}", name, run.end.problem,
                            tool::trim(output + run.errors));
    return output;
}

/// main: says what is measured, or measures it.
inline int guest_main(int argument_count, char** arguments, std::initializer_list<const char*> metrics,
                      void (*measure)(tool::Session& session)) {
    if (only_lists(argument_count, arguments, metrics)) return 0;
    try {
        tool::Console console(tool::ColorMode::Never, tool::Verbosity::Normal);
        tool::Session session{console, tool::find_workspace()};
        measure(session);
        return 0;
    } catch (const std::exception& failure) {
        fmt::print(stderr, "{}: {}\n", program_invocation_short_name, failure.what());
        return 1;
    }
}

}  // namespace helix::benchmark

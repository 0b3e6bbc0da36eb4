// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// `helix trace`: runs a profile and writes what happened to a file for a viewer.

#include "commands.hpp"
#include "failure.hpp"
#include "files.hpp"
#include "text.hpp"
#include "trace_file.hpp"

#include <unistd.h>

namespace helix::tool {

namespace {

int check_trace(const Session& session, const std::string& file) {
    std::string summary;
    const std::string problem = trace_file_problem(read_file(file), summary);
    if (!problem.empty()) throw Failure(ExitStatus::Failed, "{}: {}", file, problem);
    session.console.line("{}: {}", file, summary);
    return 0;
}

}  // namespace

int command_trace(Session& session, const TraceOptions& options) {
    if (options.check) return check_trace(session, options.file);
    RunOptions run = options.run;
    // Behind whatever the profile or --append says: the last of a key counts.
    run.append += fmt::format("{}trace={} report=trace", run.append.empty() ? "" : " ", options.entries);
    std::vector<std::string> notices;
    const MachineSpec spec = prepare_machine(session, run, &notices);
    for (const std::string& notice : notices) session.console.notice(notice);
    session.console.detail(shell_command(machine_command(spec)));
    // Found out before it runs, not afterwards.
    require_writable(options.file);

    const int input = run.commands ? -1 : STDIN_FILENO;
    if (input >= 0 && isatty(input)) session.console.notice("Commands come from the terminal; Ctrl-D ends.");
    TraceLineFilter filter;
    MachineRun ran = run_machine(
        spec, input, [&](std::string_view text) { session.console.data(filter.feed(text)); },
        machine_deadline(run.timeout_s.value_or(kDefaultTimeout)));
    session.console.data(filter.finish());
    if (!trim(ran.errors).empty() && ran.end.problem != trim(ran.errors)) session.console.notice(trim(ran.errors));
    if (!ran.end.problem.empty()) session.console.error(ran.end.problem);
    if (filter.line().empty()) {
        throw Failure(ran.end.status == 0 ? ExitStatus::Failed : static_cast<ExitStatus>(ran.end.status),
                      "the kernel ended without a trace; {} was not written", options.file);
    }
    const std::string file = make_trace_file(filter.line());
    write_file(options.file, file);
    std::string summary;
    if (const std::string problem = trace_file_problem(file, summary); !problem.empty())
        session.console.notice(fmt::format("{}: {}", options.file, problem));
    else
        session.console.notice(
            fmt::format("{}: {}; open it in ui.perfetto.dev or chrome://tracing", options.file, summary));
    if (const uint64_t lost = overwritten_entries(file); lost != 0)
        session.console.warning(fmt::format(
            "{}: {} entries were overwritten, the oldest, swaps among them if there were any; --entries keeps "
            "more than {} of each CPU",
            options.file, lost, options.entries));
    return ran.end.status;
}

}  // namespace helix::tool

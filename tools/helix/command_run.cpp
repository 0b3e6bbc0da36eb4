// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// `helix run`: boots a profile.

#include "commands.hpp"
#include "failure.hpp"
#include "files.hpp"
#include "profile_schema.hpp"
#include "text.hpp"

#include <unistd.h>

#include <algorithm>

namespace helix::tool {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kUsualMemoryMb = 256;

uint64_t choose_memory(const Profile& profile, const std::optional<uint64_t>& wanted) {
    if (wanted) {
        if (*wanted < profile.minimum_memory_mb)
            throw Failure(ExitStatus::Usage,
                          "--memory {} is below the {} MB that profile {} needs ([memory] min_ram_mb)", *wanted,
                          profile.minimum_memory_mb, profile.name);
        return *wanted;
    }
    const uint64_t limit = profile.maximum_memory_mb == 0 ? UINT64_MAX : profile.maximum_memory_mb;
    return std::clamp(kUsualMemoryMb, profile.minimum_memory_mb, limit);
}

/// What the kernel has to know of a terminal on which nothing can be written over.
std::string_view cursor_word() {
    const char* const terminal = getenv("TERM");
    return terminal == nullptr || std::string_view(terminal) == "dumb" ? " cursor=0" : "";
}

void check_combination(const RunOptions& options, Architecture architecture) {
    const bool hosted = architecture == Architecture::Hosted;
    if (options.replay && !hosted)
        throw Failure(ExitStatus::Usage, "--replay works with --arch hosted only; x86_64 repeats itself with --icount");
    if (options.count_instructions && hosted)
        throw Failure(ExitStatus::Usage, "--icount works with --arch x86_64 only; hosted repeats itself with --replay");
    constexpr uint64_t kMostHostedMb = 65536;
    if (hosted && options.memory_mb && (*options.memory_mb < 4 || *options.memory_mb > kMostHostedMb))
        throw Failure(ExitStatus::Usage, "--memory takes 4 to {} MB with --arch hosted", kMostHostedMb);
    if (options.machine != "q35" && hosted) throw Failure(ExitStatus::Usage, "--machine works with --arch x86_64 only");
}

}  // namespace

MachineSpec prepare_machine(const Session& session, const RunOptions& options, std::vector<std::string>* notices) {
    const Workspace& workspace = session.workspace;
    BootPlan plan = make_plan(load_profile(Workspace::shown(find_profile(workspace.profiles(), options.profile))),
                              ModuleLibrary(workspace.modules()));
    if (notices != nullptr) *notices = plan.notices;

    MachineSpec spec;
    spec.architecture = options.architecture.value_or(plan.profile.primary);
    check_combination(options, spec.architecture);
    const std::vector<std::string>& supported = plan.profile.supported;
    if (!supported.empty() && std::ranges::find(supported, name_of(spec.architecture)) == supported.end())
        throw Failure(ExitStatus::Usage, "profile {} does not support {}: its arch.supported has {}", plan.profile.name,
                      name_of(spec.architecture), join(supported, ", "));
    spec.machine = options.machine;
    spec.memory_mb = choose_memory(plan.profile, options.memory_mb);
    spec.cpus = options.cpus;
    spec.count_instructions = options.count_instructions;
    spec.replay = options.replay;
    std::vector<std::string> command_line = words(plan.profile.command_line);
    if (options.json) command_line.push_back("json=1");
    for (std::string& word : words(options.append)) {
        const std::string problem = boot_word_problem(word);
        if (notices != nullptr && !problem.empty()) notices->push_back("notice: " + problem);
        command_line.push_back(std::move(word));
    }
    spec.command_line = join(command_line, " ");

    std::vector<InitrdFile> files;
    for (const std::string& file : options.files)
        files.push_back({fs::path(file).filename().string(), read_file(file)});
    if (options.commands) files.push_back({"exec", *options.commands});
    spec.files = write_boot_files(workspace, plan, spec.architecture, files);
    return spec;
}

Deadline machine_deadline(double seconds) {
    return seconds <= 0 ? Deadline() : deadline_after(std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000)));
}

int command_run(Session& session, const RunOptions& options) {
    std::vector<std::string> notices;
    MachineSpec spec = prepare_machine(session, options, &notices);
    for (const std::string& notice : notices) session.console.notice(notice);
    spec.interactive = !options.commands && isatty(STDIN_FILENO) && (isatty(STDOUT_FILENO) || options.print_command);
    if (spec.interactive)
        spec.command_line +=
            fmt::format("{}{}{}", spec.command_line.empty() ? "" : " ", kInteractiveWord, cursor_word());
    if (options.print_command) {
        session.console.line("{}", shell_command(machine_command(spec)));
        return 0;
    }
    session.console.detail(shell_command(machine_command(spec)));

    const double seconds = options.timeout_s.value_or(spec.interactive ? 0 : kDefaultTimeout);
    const Deadline in_time = machine_deadline(seconds);
    MachineEnd end;
    if (spec.interactive) {
        if (options.profile == RunOptions().profile)
            session.console.notice(
                "This is the smallest profile; \"./helix run demo\" has threads and schedulers to play with.");
        if (spec.architecture == Architecture::X86_64)
            session.console.notice("Type \"help\" for the commands, \"poweroff\" to end; Ctrl-A X ends the emulator.");
        end = run_machine_on_terminal(spec, in_time);
    } else {
        const int input = options.commands ? -1 : STDIN_FILENO;
        MachineRun run = run_machine(spec, input, [&](std::string_view text) { session.console.data(text); }, in_time);
        end = run.end;
        if (!trim(run.errors).empty() && end.problem != trim(run.errors)) session.console.notice(trim(run.errors));
    }
    if (end.status == static_cast<int>(ExitStatus::TimedOut) && !end.problem.empty())
        end.problem += fmt::format(" after {} s; --timeout SECONDS gives it more", seconds);
    if (!end.problem.empty()) session.console.error(end.problem);
    return end.status;
}

}  // namespace helix::tool

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// `helix bench`: runs what measures and prints one line for each metric.
//
// A metric comes from a program bin/helix_bench_*, from a script benchmarks/*.bench that boots a machine, or from the
// tool itself. All print objects {"metric","unit","median","p99","runs","peers":{NAME:median}}, one a line.

#include "commands.hpp"
#include "failure.hpp"
#include "files.hpp"
#include "script.hpp"
#include "text.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>
#include <regex>

namespace helix::tool {

namespace fs = std::filesystem;

namespace {

using Json = nlohmann::ordered_json;

constexpr int kBootRuns = 11;
constexpr double kSourceTimeout = 600;

/// Something that measures one or more metrics.
struct Source {
    std::string name;
    /// The metrics it measures, where that is known before; otherwise it is run whatever the filter, if its name fits.
    std::string metric;
    std::function<std::vector<Json>(Session&)> measure;
};

Json metric(std::string_view name, std::string_view unit, std::vector<double> samples) {
    std::ranges::sort(samples);
    const auto rank = [&](double part) {
        return samples[std::min(samples.size() - 1, static_cast<size_t>(part * static_cast<double>(samples.size())))];
    };
    const auto number = [](double value) {
        return value == static_cast<double>(static_cast<int64_t>(value)) ? Json(static_cast<int64_t>(value))
                                                                         : Json(value);
    };
    return {
        {"metric", name},         {"unit", unit},           {"median", number(rank(0.5))}, {"p99", number(rank(0.99))},
        {"runs", samples.size()}, {"peers", Json::object()}};
}

/// The lines of `output` that are metrics. Throws Failure when one is malformed or none came.
std::vector<Json> metrics_in(std::string_view output, std::string_view source) {
    std::vector<Json> out;
    for (const std::string& line : split(output, '\n')) {
        if (!trim(line).starts_with("{\"metric\"")) continue;
        Json value = Json::parse(line, nullptr, false);
        const bool whole = value.is_object() && value["metric"].is_string() && value["unit"].is_string() &&
                           value["median"].is_number();
        if (!whole) throw Failure(ExitStatus::Failed, "{}: malformed metric: {}", source, line);
        out.push_back(std::move(value));
    }
    if (out.empty()) throw Failure(ExitStatus::Failed, "{}: it measured nothing; it printed: {}", source, trim(output));
    return out;
}

/// Runs a program that measures; its lines "note: …" are passed on.
std::vector<Json> run_program(const fs::path& program, const Session& session) {
    const Workspace& workspace = session.workspace;
    const CapturedRun run = run_captured(
        {.arguments = {program.string()},
         .environment = {{"HELIX_ROOT", workspace.root.string()}, {"HELIX_BUILD_DIRECTORY", workspace.build.string()}},
         .directory = workspace.root},
        deadline_after(std::chrono::milliseconds(int64_t(kSourceTimeout * 1000))));
    if (!run.end.ok())
        throw Failure(ExitStatus::Failed, "{}: {}: {}", program.filename().string(), run.end.describe(),
                      trim(run.output));
    constexpr std::string_view kNote = "note: ";
    for (const std::string& line : split(run.output, '\n'))
        if (line.starts_with(kNote)) session.console.notice(line.substr(kNote.size()));
    return metrics_in(run.output, program.filename().string());
}

std::string run_on_machine(const Session& session, const RunOptions& options, std::string_view source) {
    const MachineSpec spec = prepare_machine(session, options, nullptr);
    std::string output;
    const MachineRun run = run_machine(
        spec, -1, [&](std::string_view text) { output += text; },
        deadline_after(std::chrono::milliseconds(int64_t(kSourceTimeout * 1000))));
    if (run.end.status != 0)
        throw Failure(ExitStatus::Failed, "{}: {}: {}", source, run.end.problem, trim(output + run.errors));
    return output;
}

std::vector<Json> run_bench_script(Session& session, const fs::path& file) {
    const Script script = parse_script(read_file(file), file);
    const Architecture architecture =
        script.architectures.empty() ? Architecture::X86_64 : script.architectures.front();
    const RunOptions options = run_options(script, {architecture, script.machines.front(), {}}, session.workspace);
    return metrics_in(run_on_machine(session, options, file.filename().string()), file.filename().string());
}

/// From the start of the emulator to the shell's prompt.
std::vector<Json> spawn_to_prompt(Session& session) {
    RunOptions options;
    options.architecture = Architecture::X86_64;
    options.memory_mb = 256;
    options.append = kInteractiveWord;
    const MachineSpec spec = prepare_machine(session, options, nullptr);
    std::vector<double> samples;
    for (int i = 0; i < kBootRuns; ++i) {
        session.console.progress(fmt::format("boot.spawn_to_prompt {}/{}", i + 1, kBootRuns));
        const auto begin = Clock::now();
        const Deadline deadline = deadline_after(std::chrono::seconds(30));
        Child child({.arguments = machine_command(spec), .input = ChildInput::Pipe, .output = ChildOutput::Pipe});
        std::string output;
        while (output.find(kPrompt) == std::string::npos) {
            const std::optional<std::string> part = child.read(deadline);
            if (!part || part->empty())
                throw Failure(ExitStatus::Failed, "boot.spawn_to_prompt: no prompt came: {}",
                              trim(output + child.errors()));
            output += *part;
        }
        samples.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
    }
    return {metric("boot.spawn_to_prompt", "ms", samples)};
}

/// From the kernel's entry to the moment when all modules run, as the kernel reports it.
std::vector<Json> boot_instructions(Session& session) {
    RunOptions options;
    options.architecture = Architecture::X86_64;
    options.count_instructions = true;
    options.append = "report=boot";
    options.commands = "poweroff";
    const std::string output = run_on_machine(session, options, "boot.instructions");
    std::smatch match;
    if (!std::regex_search(output, match, std::regex(R"(boot: (\d+) cycles)")))
        throw Failure(ExitStatus::Failed, "boot.instructions: the kernel printed no \"boot: N cycles\": {}",
                      trim(output));
    return {metric("boot.instructions", "instructions", {std::stod(match[1])})};
}

std::vector<Json> image_size(Session& session) {
    RunOptions options;
    options.architecture = Architecture::X86_64;
    const MachineSpec spec = prepare_machine(session, options, nullptr);
    return {metric("image.minimal", "bytes", {static_cast<double>(fs::file_size(spec.files.kernel))})};
}

std::vector<Source> find_sources(const Workspace& workspace) {
    std::vector<Source> out;
    std::error_code ignored;
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(workspace.programs(), ignored))
        if (entry.path().filename().string().starts_with("helix_bench_")) files.push_back(entry.path());
    for (const auto& entry : fs::directory_iterator(workspace.root / "benchmarks", ignored))
        if (entry.path().extension() == ".bench") files.push_back(entry.path());
    std::ranges::sort(files);
    for (const fs::path& file : files) {
        if (file.extension() == ".bench")
            out.push_back(
                {Workspace::shown(file), {}, [file](Session& session) { return run_bench_script(session, file); }});
        else
            out.push_back(
                {file.filename().string(), {}, [file](Session& session) { return run_program(file, session); }});
    }
    out.push_back({"boot.spawn_to_prompt", "boot.spawn_to_prompt", spawn_to_prompt});
    out.push_back({"boot.instructions", "boot.instructions", boot_instructions});
    out.push_back({"image.minimal", "image.minimal", image_size});
    return out;
}

std::string table_row(const Console& console, const Json& value) {
    const auto number = [](const Json& json) {
        if (!json.is_number()) return std::string("-");
        return json.is_number_integer() ? fmt::format("{}", json.get<int64_t>())
                                        : fmt::format("{:.2f}", json.get<double>());
    };
    std::vector<std::string> peers;
    if (value.contains("peers"))
        for (const auto& [name, median] : value["peers"].items())
            peers.push_back(fmt::format("{} {}", name, number(median)));
    // Padding before styling, so that the columns stand with colour too.
    return fmt::format("{} {:>12} {:>12} {:<13} {}",
                       console.styled(Style::Bold, fmt::format("{:<32}", value["metric"].get<std::string>())),
                       number(value["median"]), number(value.value("p99", Json())), value["unit"].get<std::string>(),
                       join(peers, ", "));
}

}  // namespace

int command_bench(Session& session, const BenchOptions& options) {
    Console& console = session.console;
    bool failed = false, header = false;
    size_t printed = 0;
    for (const Source& source : find_sources(session.workspace)) {
        if (options.list) {
            console.line("{}", source.name);
            continue;
        }
        if (!source.metric.empty() && !matches_filter(source.metric, options.filter)) continue;
        console.progress("measuring: " + source.name);
        std::vector<Json> values;
        try {
            values = source.measure(session);
        } catch (const Failure& failure) {
            console.error(failure.what());
            failed = true;
            continue;
        }
        for (const Json& value : values) {
            if (!matches_filter(value["metric"].get<std::string>(), options.filter)) continue;
            if (!options.json && !header)
                console.line("{:<32} {:>12} {:>12} {:<13} {}", "metric", "median", "p99", "unit", "peers");
            header = true;
            ++printed;
            console.line("{}", options.json ? value.dump() : table_row(console, value));
        }
    }
    console.progress("");
    if (options.list) return 0;
    if (printed == 0 && !failed)
        throw Failure(ExitStatus::Failed, "no metric matches \"{}\"; --list prints where they come from",
                      options.filter);
    return failed ? static_cast<int>(ExitStatus::Failed) : 0;
}

}  // namespace helix::tool

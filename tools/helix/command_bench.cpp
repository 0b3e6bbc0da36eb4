// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// `helix bench`: runs what measures and prints one line for each metric.
//
// A metric comes from a program bin/helix_bench_* (helix_long_bench_* if it takes long), which names its metrics when
// asked with --list, from a script benchmarks/*.bench that boots a machine and names them in its "metrics:", or from
// the tool itself. All print objects
// {"metric","unit","median","p99","runs","peers":{NAME:median}}, one a line. What has no metric that is wanted is not
// run.

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

constexpr double kSourceTimeout = 600;
constexpr std::string_view kLongPrefix = "helix_long_bench_";

/// Something that measures one or more metrics.
struct Source {
    std::string name;
    std::vector<std::string> metrics;  ///< all that it measures
    bool is_long;                      ///< without a metric's name it is left out
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

/// The metrics that `program` says it measures.
std::vector<std::string> metrics_of_program(const fs::path& program) {
    const CapturedRun run =
        run_captured({.arguments = {program.string(), "--list"}}, deadline_after(std::chrono::seconds(30)));
    if (!run.end.ok())
        throw Failure(ExitStatus::Failed, "{} --list: {}: {}", program.filename().string(), run.end.describe(),
                      trim(run.output));
    std::vector<std::string> metrics = words(run.output);
    if (metrics.empty())
        throw Failure(ExitStatus::Failed, "{} --list: it names no metric", program.filename().string());
    return metrics;
}

std::vector<Source> find_sources(const Workspace& workspace) {
    std::vector<Source> out;
    std::error_code ignored;
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(workspace.programs(), ignored))
        if (const std::string name = entry.path().filename().string();
            name.starts_with("helix_bench_") || name.starts_with(kLongPrefix))
            files.push_back(entry.path());
    for (const auto& entry : fs::directory_iterator(workspace.root / "benchmarks", ignored))
        if (entry.path().extension() == ".bench") files.push_back(entry.path());
    std::ranges::sort(files);
    for (const fs::path& file : files) {
        if (file.extension() == ".bench") {
            const std::vector<std::string> metrics = parse_script(read_file(file), file).metrics;
            if (metrics.empty())
                throw Failure(ExitStatus::Failed, "{}: it names no metric: \"metrics:\" is missing",
                              Workspace::shown(file));
            out.push_back({Workspace::shown(file), metrics, false,
                           [file](Session& session) { return run_bench_script(session, file); }});
        } else {
            out.push_back({file.filename().string(), metrics_of_program(file),
                           file.filename().string().starts_with(kLongPrefix),
                           [file](Session& session) { return run_program(file, session); }});
        }
    }
    out.push_back({"the tool", {"boot.instructions"}, false, boot_instructions});
    out.push_back({"the tool", {"image.minimal"}, false, image_size});
    return out;
}

/// Nothing when `values` are what `source` says that it measures, otherwise the sentence about the difference.
std::string difference(const Source& source, const std::vector<Json>& values) {
    std::vector<std::string> measured, named = source.metrics;
    for (const Json& value : values) measured.push_back(value["metric"].get<std::string>());
    std::ranges::sort(measured);
    std::ranges::sort(named);
    if (measured == named) return {};
    return fmt::format("{}: it names {}, but measured {}", source.name, join(named, ", "), join(measured, ", "));
}

/// What belongs together, by the beginnings of names.
struct Subject {
    std::string_view name;
    std::vector<std::string_view> beginnings;
};
bool is_of(const Subject& subject, std::string_view metric) {
    return std::ranges::any_of(subject.beginnings, [&](std::string_view begin) { return metric.starts_with(begin); });
}
const Subject* find_subject(std::string_view name) {
    static const Subject kSubjects[] = {{"cpus", {"clock.", "hold.", "thread.", "mutex.", "timer.", "guest."}},
                                        {"modules", {"call.", "lookup.", "module."}},
                                        {"scheduler", {"scheduler.", "policy.", "fair.", "workload."}}};
    const auto* const found = std::ranges::find(kSubjects, name, &Subject::name);
    return found == std::end(kSubjects) ? nullptr : found;
}

/// What may have been meant by a filter that fits nothing.
std::string suggestion(std::string_view filter, const std::vector<std::string>& metrics) {
    const std::vector<std::string> near = nearest_by_part(filter, metrics);
    if (near.empty()) return "; --list prints them all";
    return fmt::format("; the nearest: {}", join(near, ", "));
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
    if (!options.workload.file.empty()) return bench_workload(session, options);
    Console& console = session.console;
    std::vector<Source> sources = find_sources(session.workspace);
    std::vector<std::string> metrics, wanted;
    for (const Source& source : sources) std::ranges::copy(source.metrics, std::back_inserter(metrics));
    const Subject* const subject = find_subject(options.filter);
    const auto is_wanted = [&](const std::string& metric) {
        return subject != nullptr ? is_of(*subject, metric) : matches_filter(metric, options.filter);
    };
    std::ranges::copy_if(metrics, std::back_inserter(wanted), is_wanted);
    if (wanted.empty())
        throw Failure(ExitStatus::Failed, "no metric matches \"{}\"{}", options.filter,
                      suggestion(options.filter, metrics));
    if (options.list) {
        std::ranges::sort(wanted);
        for (const std::string& metric : wanted) console.line("{}", metric);
        return 0;
    }

    std::erase_if(sources, [&](const Source& source) {
        return std::ranges::none_of(source.metrics, is_wanted) ||
               (source.is_long && (options.filter.empty() || subject != nullptr) && !options.with_long);
    });
    bool failed = false, header = false;
    for (size_t i = 0; i < sources.size(); ++i) {
        const Source& source = sources[i];
        const std::string status =
            fmt::format("[{}/{}] measuring {} …", i + 1, sources.size(), join(source.metrics, ", "));
        if (console.shows_progress())
            console.progress(status);
        else
            console.notice(status);
        std::vector<Json> values;
        try {
            values = source.measure(session);
            if (const std::string problem = difference(source, values); !problem.empty())
                throw Failure(ExitStatus::Failed, "{}", problem);
        } catch (const Failure& failure) {
            console.error(failure.what());
            failed = true;
            continue;
        }
        for (const Json& value : values) {
            if (!is_wanted(value["metric"].get<std::string>())) continue;
            if (!options.json && !header)
                console.line("{:<32} {:>12} {:>12} {:<13} {}", "metric", "median", "p99", "unit", "peers");
            header = true;
            console.line("{}", options.json ? value.dump() : table_row(console, value));
        }
    }
    console.progress("");
    return failed ? static_cast<int>(ExitStatus::Failed) : 0;
}

}  // namespace helix::tool

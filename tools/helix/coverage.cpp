// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Coverage: collects the counters of LLVM's profile runtime and lets LLVM's tools read them.
#include "coverage.hpp"

#include "failure.hpp"
#include "process.hpp"
#include "text.hpp"

#include <nlohmann/json.hpp>

#include <cstdlib>
#include <map>

namespace helix::tool {

namespace fs = std::filesystem;

namespace {

constexpr const char* kSources[] = {"kernel", "arch/hosted"};

struct Lines {
    uint64_t count = 0;
    uint64_t covered = 0;
};

std::string run_tool(const std::vector<std::string>& arguments) {
    CapturedRun run = run_captured({.arguments = arguments, .output = ChildOutput::Pipe});
    if (!run.end.ok()) throw Failure(ExitStatus::Environment, "{}: {}", shell_command(arguments), run.end.describe());
    return std::move(run.output);
}

std::string row(std::string_view name, const Lines& lines) {
    const double part =
        lines.count == 0 ? 100 : 100.0 * static_cast<double>(lines.covered) / static_cast<double>(lines.count);
    return fmt::format("{:6.1f} %  {:>6}  {}", part, lines.count, name);
}

}  // namespace

Coverage::Coverage(const Session& session, std::vector<std::string> programs)
    : session_(session), folder_(session.workspace.build / "coverage"), programs_(std::move(programs)) {
    std::error_code error;
    fs::remove_all(folder_, error);
    if (!error) fs::create_directories(folder_, error);
    if (error) throw Failure(ExitStatus::Environment, "{}: {}", folder_.string(), error.message());
    // %c: counters are in the file from the start, so that how a process ends does not matter. %m: one file for each
    // program, whichever process of it counts.
    setenv("LLVM_PROFILE_FILE", (folder_ / "%m%c.profraw").c_str(), 1);
}

std::vector<std::string> Coverage::tool_arguments(const std::string& command, const std::string& option) const {
    std::vector<std::string> arguments{"llvm-cov-19", command, option,
                                       "--instr-profile=" + (folder_ / "all.profdata").string()};
    // The first program stands alone, as the sources behind them do.
    for (const std::string& program : programs_)
        arguments.push_back((program == programs_.front() ? "" : "--object=") +
                            (session_.workspace.programs() / program).string());
    for (const char* source : kSources) arguments.push_back((session_.workspace.root / source).string());
    return arguments;
}

void Coverage::report() const {
    std::vector<std::string> merge{"llvm-profdata-19", "merge", "--output=" + (folder_ / "all.profdata").string()};
    for (const auto& entry : fs::directory_iterator(folder_))
        if (entry.path().extension() == ".profraw") merge.push_back(entry.path().string());
    if (merge.size() == 3) throw Failure(ExitStatus::Failed, "no test counted anything");
    run_tool(merge);
    const auto summary = nlohmann::json::parse(run_tool(tool_arguments("export", "--summary-only")));
    run_tool([&] {
        auto arguments = tool_arguments("show", "--format=html");
        arguments.push_back("--output-dir=" + (folder_ / "html").string());
        return arguments;
    }());

    Console& console = session_.console;
    std::map<std::string, Lines> folders;
    console.line("COVERED   LINES  FILE");
    for (const auto& file : summary.at("data").at(0).at("files")) {
        const fs::path name =
            fs::path(file.at("filename").get<std::string>()).lexically_relative(session_.workspace.root);
        if (name.string().ends_with("_test.cpp")) continue;
        const auto& lines = file.at("summary").at("lines");
        const Lines of_file{lines.at("count").get<uint64_t>(), lines.at("covered").get<uint64_t>()};
        console.line("{}", row(name.string(), of_file));
        Lines& folder = folders[name.parent_path().string()];
        folder.count += of_file.count;
        folder.covered += of_file.covered;
    }
    console.line("\nCOVERED   LINES  FOLDER");
    for (const auto& [name, lines] : folders) console.line("{}", row(name, lines));
    console.notice("each line's count: " + Workspace::shown(folder_ / "html" / "index.html"));
}

}  // namespace helix::tool

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// `helix test`: finds, filters and runs the tests.

#include "coverage.hpp"
#include "failure.hpp"
#include "test_case.hpp"
#include "text.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace helix::tool {

namespace {

constexpr std::chrono::seconds kNoticeInterval{30};
/// A build that watches the kernel while the hosted tests run.
struct Watching {
    std::string preset;
    std::vector<std::string> programs;
    double patience;  ///< how many times slower it is
};
Watching watching(const TestOptions& options) {
    const std::vector<std::string> programs{"helix-kernel", "helix_unit_tests", "helix_model_tests"};
    if (options.sanitizer == "address") return {"asan", programs, 8};
    if (options.sanitizer == "thread") return {"tsan", programs, 8};
    if (!options.coverage) return {{}, {}, 1};
    Watching coverage{"coverage", programs, 4};
    coverage.programs.emplace_back("helix_failure_tests");
    return coverage;
}

/// Configures and builds a preset, and says how far it is; the log is shown when that fails. One builder at a time, as
/// in the front door.
void build_preset(Session& session, const Watching& wanted) {
    const std::string& preset = wanted.preset;
    session.console.progress("building " + preset + " …");
    if (!session.console.shows_progress()) session.console.notice("building " + preset + " …");
    auto next_notice = Clock::now() + kNoticeInterval;
    const auto tell = [&](std::string_view line) {
        const std::string text = fmt::format("building {}: {}", preset, line);
        session.console.progress(text);
        if (session.console.shows_progress() || Clock::now() < next_notice) return;
        session.console.notice(text);
        next_notice = Clock::now() + kNoticeInterval;
    };
    const std::filesystem::path folder = session.workspace.root / "build" / preset;
    std::error_code ignored;
    std::filesystem::create_directories(folder, ignored);
    const int lock = open((folder / "helix.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock < 0 || flock(lock, LOCK_EX) != 0)
        throw Failure(ExitStatus::Environment, "{}: cannot be locked: {}", folder.string(), strerror(errno));
    // Modules are the same in both builds.
    const std::string modules = "-DHELIX_MODULES_FROM=" + session.workspace.modules().string();
    std::vector<std::string> build{"cmake", "--build", "--preset", preset, "--target"};
    build.insert(build.end(), wanted.programs.begin(), wanted.programs.end());
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{"cmake", "--preset", preset, modules}, build}) {
        const CapturedRun run = run_captured({.arguments = arguments, .directory = session.workspace.root}, {}, tell);
        if (run.end.ok()) continue;
        session.console.notice(run.output);
        close(lock);
        throw Failure(ExitStatus::Environment, "{} failed: {}", shell_command(arguments), run.end.describe());
    }
    close(lock);
    session.console.progress("");
}

}  // namespace

int command_test(Session& session, const TestOptions& options) {
    Session used{session.console, session.workspace};
    const Watching wanted = watching(options);
    const bool watched = !wanted.preset.empty();
    if (watched) {
        build_preset(session, wanted);
        used.workspace.build = session.workspace.root / "build" / wanted.preset;
    }
    std::optional<Coverage> coverage;
    if (options.coverage) coverage.emplace(used, wanted.programs);  // before any of them runs
    std::vector<TestCase> tests = options.conformance.empty() ? find_tests(used, watched, wanted.patience)
                                                              : conformance_tests(used, options.conformance);
    std::vector<std::string> names;
    for (const TestCase& test : tests) names.push_back(test.name);
    std::vector<std::string> filters = options.filters;
    if (filters.empty()) filters.emplace_back();
    const auto chosen_by = [&](const TestCase& test, const std::string& filter) {
        return matches_filter(test.name, filter) && (!test.is_long || options.with_long || test.name == filter);
    };
    for (const std::string& filter : filters)
        if (std::ranges::none_of(tests, [&](const TestCase& test) { return chosen_by(test, filter); }))
            throw Failure(ExitStatus::Failed, "no test matches \"{}\"{}", filter, did_you_mean(filter, names));
    std::erase_if(tests, [&](const TestCase& test) {
        return std::ranges::none_of(filters, [&](const std::string& filter) { return chosen_by(test, filter); });
    });
    if (options.list) {
        for (const TestCase& test : tests) session.console.line("{}", test.name);
        return 0;
    }
    const int status = run_tests(used, tests, options.junit);
    if (coverage) coverage->report();
    return status;
}

}  // namespace helix::tool

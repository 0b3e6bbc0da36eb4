// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// `helix test`: finds, filters and runs the tests.

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
constexpr double kSanitizerPatience = 8;  // sanitized code is several times slower

/// Configures and builds a preset, and says how far it is; the log is shown when that fails. One builder at a time, as
/// in the front door.
void build_preset(Session& session, const std::string& preset) {
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
    for (const std::vector<std::string>& arguments : {std::vector<std::string>{"cmake", "--preset", preset, modules},
                                                      {"cmake", "--build", "--preset", preset, "--target",
                                                       "helix-kernel", "helix_unit_tests", "helix_model_tests"}}) {
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
    Session sanitized{session.console, session.workspace};
    const bool with_sanitizer = !options.sanitizer.empty();
    if (with_sanitizer) {
        const std::string preset = options.sanitizer == "address" ? "asan" : "tsan";
        build_preset(session, preset);
        sanitized.workspace.build = session.workspace.root / "build" / preset;
    }
    Session& used = with_sanitizer ? sanitized : session;
    std::vector<TestCase> tests = options.conformance.empty()
                                      ? find_tests(used, with_sanitizer, with_sanitizer ? kSanitizerPatience : 1)
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
    return run_tests(used, tests, options.junit);
}

}  // namespace helix::tool

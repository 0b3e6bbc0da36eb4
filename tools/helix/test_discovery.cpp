// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Finds the tests: unit test programs, scripts, executables, conformance suites.

#include "failure.hpp"
#include "files.hpp"
#include "script.hpp"
#include "test_case.hpp"
#include "text.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

namespace helix::tool {

namespace fs = std::filesystem;

namespace {

constexpr int kSkipStatus = 77;  // what executables end with when they cannot test here
constexpr double kExecutableTimeout = 120;

Deadline seconds_from_now(double seconds) {
    return deadline_after(std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000)));
}

// ---- Unit test programs: one test for each suite of GoogleTest.

TestOutcome run_suite(const fs::path& program, const std::string& suite, double timeout) {
    const std::vector<std::string> command{program.string(), "--gtest_filter=" + suite + ".*", "--gtest_color=no",
                                           "--gtest_brief=1"};
    const CapturedRun run = run_captured({.arguments = command}, seconds_from_now(timeout));
    TestOutcome outcome;
    outcome.output = run.output;
    outcome.repeat = shell_command({Workspace::shown(program), command[1]});
    const bool empty = run.output.find("[  PASSED  ] 0 tests") != std::string::npos;
    if (!run.end.ok() || empty) {
        outcome.result = TestResult::Failed;
        outcome.note = empty ? "no test ran" : run.end.describe();
    }
    return outcome;
}

void add_suites(const fs::path& program, double patience, std::vector<TestCase>& tests) {
    CapturedRun run;
    std::string problem;
    try {
        run = run_captured({.arguments = {program.string(), "--gtest_list_tests"}}, seconds_from_now(60));
        if (!run.end.ok()) problem = run.end.describe();
    } catch (const Failure& failure) {
        problem = failure.what();
    }
    if (!problem.empty()) {
        // A program that cannot even list its tests is a failed test, not an absent one.
        tests.push_back(
            {"unit/" + program.filename().string(), false, [problem, program, output = run.output](const Status&) {
                 return TestOutcome{TestResult::Failed, problem, output, program.string(), 0};
             }});
        return;
    }
    // "Suite." at the start of a line, with "  # TypeParam = …" behind it for some.
    for (const std::string& line : split(run.output, '\n')) {
        const std::string_view head = trim(std::string_view(line).substr(0, line.find('#')));
        if (line.empty() || line.front() == ' ' || !head.ends_with('.') || head.find(' ') != std::string_view::npos)
            continue;
        const std::string suite(head.substr(0, head.size() - 1));
        tests.push_back(
            {"unit/" + suite, false, [=](const Status&) { return run_suite(program, suite, 120 * patience); }});
    }
}

// ---- Scripts.

struct ScriptRun {
    MachineEnd end;
    std::string output;
};

ScriptRun run_once(const Session& session, const Script& script, const RunOptions& options, double timeout) {
    const MachineSpec spec = prepare_machine(session, options, nullptr);
    int input = -1;
    if (script.input) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) throw Failure(ExitStatus::Environment, "cannot make a pipe");
        // Scripts are far below the capacity of a pipe, so this does not block.
        [[maybe_unused]] const ssize_t count = ::write(ends[1], script.input->data(), script.input->size());
        close(ends[1]);
        input = ends[0];
    }
    ScriptRun out;
    MachineRun run =
        run_machine(spec, input, [&](std::string_view text) { out.output += text; }, seconds_from_now(timeout));
    if (input >= 0) close(input);
    out.end = run.end;
    if (!run.errors.empty()) out.output += "\n" + run.errors;
    return out;
}

TestOutcome run_variant(const Session& session, const Script& script, const Variant& variant, double timeout) {
    TestOutcome outcome;
    outcome.repeat = repeating_command(script, variant, session.workspace);
    std::string first;
    for (uint32_t round = 0; round < script.same; ++round) {
        const ScriptRun run = run_once(session, script, run_options(script, variant, session.workspace), timeout);
        outcome.output = run.output;
        if (run.end.status != script.status)
            outcome.note = fmt::format("{}, but status {} was expected",
                                       run.end.problem.empty() ? "it ended well" : run.end.problem, script.status);
        else
            outcome.note = compare_output(script, run.output);
        if (outcome.note.empty() && round > 0 && run.output != first)
            outcome.note = "two runs printed different things";
        if (!outcome.note.empty()) {
            outcome.result = TestResult::Failed;
            return outcome;
        }
        first = run.output;
    }
    return outcome;
}

TestOutcome run_script(const Session& session, const Script& script, const Variant& base, double patience) {
    std::vector<std::optional<uint64_t>> seeds{std::nullopt};
    if (base.architecture == Architecture::Hosted && !script.seeds.empty())
        seeds.assign(script.seeds.begin(), script.seeds.end());
    TestOutcome outcome;
    for (const auto& seed : seeds) {
        Variant variant = base;
        variant.seed = seed;
        outcome = run_variant(session, script, variant, script.timeout_s * patience);
        if (outcome.result != TestResult::Failed) continue;
        if (seed) outcome.note += fmt::format(" (seed {})", *seed);
        return outcome;
    }
    return outcome;
}

void add_script(const Session& session, const fs::path& file, const std::string& name, Architecture usual,
                bool sanitized, double patience, std::vector<TestCase>& tests) {
    std::shared_ptr<Script> script;
    try {
        script = std::make_shared<Script>(parse_script(read_file(file), file));
    } catch (const Failure& failure) {
        const std::string sentence = failure.what();
        tests.push_back(
            {name, false, [=](const Status&) { return TestOutcome{TestResult::Failed, sentence, {}, {}, 0}; }});
        return;
    }
    if (script->architectures.empty()) script->architectures.push_back(usual);
    for (const Architecture architecture : script->architectures) {
        if (sanitized && architecture != Architecture::Hosted) continue;
        const bool hosted = architecture == Architecture::Hosted;
        for (const std::string& machine : hosted ? std::vector<std::string>{"q35"} : script->machines) {
            std::string whole = name;
            if (script->architectures.size() > 1) whole += "@" + std::string(name_of(architecture));
            if (!hosted && script->machines.size() > 1) whole += "@" + machine;
            const Variant variant{architecture, machine, {}};
            tests.push_back({whole, script->is_long, [&session, script, variant, patience](const Status&) {
                                 return run_script(session, *script, variant, patience);
                             }});
        }
    }
}

// ---- Executables.

/// "# timeout: 300" and "# long" in the first lines of a script.
void read_marks(const fs::path& file, double& timeout, bool& is_long) {
    const std::string content = read_file(file);
    const std::vector<std::string> lines = split(std::string_view(content).substr(0, 2048), '\n');
    for (size_t i = 0; i < lines.size() && i < 12; ++i) {
        if (lines[i].starts_with("# timeout: ")) timeout = std::atof(lines[i].c_str() + 11);
        if (lines[i] == "# long") is_long = true;
    }
}

TestOutcome run_executable(const Session& session, const fs::path& file, double timeout, const Status& status) {
    const Workspace& workspace = session.workspace;
    const TemporaryDirectory directory;
    const CapturedRun run = run_captured({.arguments = {file.string()},
                                          .environment = {{"HELIX_ROOT", workspace.root.string()},
                                                          {"HELIX_BUILD_DIRECTORY", workspace.build.string()},
                                                          {"HELIX", (workspace.programs() / "helix").string()},
                                                          {"HELIX_TEST_DIRECTORY", directory.path().string()}},
                                          .directory = workspace.root},
                                         seconds_from_now(timeout), status);
    TestOutcome outcome;
    outcome.output = run.output;
    outcome.repeat =
        shell_command({"./helix", "test", file.parent_path().filename().string() + "/" + file.stem().string()});
    if (run.end.ok()) return outcome;
    if (run.end.status == kSkipStatus && run.end.signal == 0) {
        outcome.result = TestResult::Skipped;
        const std::vector<std::string> lines = split(trim(run.output), '\n');
        outcome.note = lines.back();
        return outcome;
    }
    outcome.result = TestResult::Failed;
    outcome.note = run.end.describe();
    return outcome;
}

void add_executable(const Session& session, const fs::path& file, const std::string& name, double patience,
                    std::vector<TestCase>& tests) {
    double timeout = kExecutableTimeout;
    bool is_long = false;
    read_marks(file, timeout, is_long);
    tests.push_back({name, is_long, [&session, file, timeout, patience](const Status& status) {
                         return run_executable(session, file, timeout * patience, status);
                     }});
}

int ring_order(std::string_view name) {
    constexpr std::string_view kRings[] = {"architecture/", "unit/", "system/", "boot/"};
    for (size_t i = 0; i < std::size(kRings); ++i)
        if (name.starts_with(kRings[i])) return static_cast<int>(i);
    return static_cast<int>(std::size(kRings));
}

std::vector<fs::path> sorted_files(const fs::path& folder) {
    std::vector<fs::path> out;
    std::error_code ignored;
    for (const auto& entry : fs::recursive_directory_iterator(folder, ignored))
        if (entry.is_regular_file(ignored)) out.push_back(entry.path());
    std::ranges::sort(out);
    return out;
}

}  // namespace

std::vector<TestCase> find_tests(const Session& session, bool sanitized, double patience) {
    const Workspace& workspace = session.workspace;
    std::vector<TestCase> tests;
    std::error_code ignored;
    std::vector<fs::path> programs;
    for (const auto& entry : fs::directory_iterator(workspace.programs(), ignored)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with("helix_") && name.ends_with("_tests")) programs.push_back(entry.path());
    }
    std::ranges::sort(programs);
    for (const fs::path& program : programs) add_suites(program, patience, tests);

    std::error_code error;
    for (const auto& ring : fs::directory_iterator(workspace.root / "tests", error)) {
        if (!ring.is_directory(ignored)) continue;
        const std::string ring_name = ring.path().filename().string();
        const Architecture usual = ring_name == "boot" ? Architecture::X86_64 : Architecture::Hosted;
        std::vector<fs::path> files;
        for (const auto& entry : fs::directory_iterator(ring, ignored))
            if (entry.is_regular_file(ignored)) files.push_back(entry.path());
        std::ranges::sort(files);
        for (const fs::path& file : files) {
            const std::string name = ring_name + "/" + file.stem().string();
            if (file.extension() == ".test")
                add_script(session, file, name, usual, sanitized, patience, tests);
            else if (access(file.c_str(), X_OK) == 0 && !sanitized)
                add_executable(session, file, name, patience, tests);
        }
    }
    // A module's own tests lie beside it.
    for (const char* folder : {"modules", "examples"})
        for (const fs::path& file : sorted_files(workspace.root / folder))
            if (file.extension() == ".test")
                add_script(session, file, "system/" + file.stem().string(), Architecture::Hosted, sanitized, patience,
                           tests);
    std::ranges::sort(tests, {}, [](const TestCase& test) { return std::pair(ring_order(test.name), test.name); });
    return tests;
}

std::vector<TestCase> conformance_tests(const Session& session, const fs::path& file) {
    const ModuleFile module = read_module_file(file);
    if (!module.refusal.empty()) throw Failure(ExitStatus::Failed, "{}", module.refusal);
    auto profile = std::make_shared<TemporaryDirectory>();
    // The module under test does not rule while it is tested.
    const std::string ruler =
        module.name() == "helix-scheduler-round-robin" ? "helix-scheduler-priority" : "helix-scheduler-round-robin";
    write_file(
        profile->path() / "helix.toml",
        fmt::format("[profile]\nname = \"conformance\"\n[modules]\nstatic = [\"helix-execution\", \"helix-memory\", "
                    "\"helix-allocator-bump\", \"{}\"]\ndynamic = [\"helix-conformance\"]\n",
                    ruler));
    std::vector<TestCase> tests;
    for (const std::string suite : {"scheduler", "allocator"}) {
        if (!module.implements("helix." + suite)) continue;
        for (const Architecture architecture : {Architecture::Hosted, Architecture::X86_64}) {
            auto script = std::make_shared<Script>();
            script->profile = (profile->path() / "helix.toml").string();
            script->files = {fs::absolute(file).string()};
            script->commands = {"load " + file.filename().string(), "load helix-conformance.hmod",
                                fmt::format("request helix-conformance {} {}", suite, module.name())};
            const std::string name = fmt::format("conformance/{}:{}@{}", module.name(), suite, name_of(architecture));
            const std::string repeat = shell_command({"./helix", "test", "--conformance", Workspace::shown(file)});
            // The profile's folder lives as long as the tests.
            tests.push_back({name, false, [&session, script, architecture, profile, repeat](const Status&) {
                                 TestOutcome outcome = run_script(session, *script, {architecture, "q35", {}}, 1);
                                 outcome.repeat = repeat;
                                 return outcome;
                             }});
        }
    }
    if (tests.empty())
        throw Failure(ExitStatus::Failed,
                      "{}: it implements no interface with a conformance suite (helix.scheduler, "
                      "helix.allocator)",
                      file.string());
    return tests;
}

}  // namespace helix::tool

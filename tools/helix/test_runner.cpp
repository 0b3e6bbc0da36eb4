// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Runs tests, a few at a time, and reports.

#include "failure.hpp"
#include "files.hpp"
#include "test_case.hpp"
#include "text.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

namespace helix::tool {

namespace {

constexpr size_t kShownLines = 60;  // of the output of a failed test, its end

std::string xml_escape(std::string_view text) {
    std::string out;
    for (char c : text) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            default:
                // XML 1.0 has no place for other control characters.
                if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t') out += c;
        }
    }
    return out;
}

std::string junit_report(const std::vector<TestCase>& tests, const std::vector<TestOutcome>& outcomes) {
    size_t failed = 0, skipped = 0;
    double seconds = 0;
    for (const TestOutcome& outcome : outcomes) {
        failed += outcome.result == TestResult::Failed;
        skipped += outcome.result == TestResult::Skipped;
        seconds += outcome.seconds;
    }
    std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    out += fmt::format("<testsuite name=\"helix\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3f}\">\n",
                       tests.size(), failed, skipped, seconds);
    for (size_t i = 0; i < tests.size(); ++i) {
        const std::string& name = tests[i].name;
        const TestOutcome& outcome = outcomes[i];
        out += fmt::format("  <testcase classname=\"{}\" name=\"{}\" time=\"{:.3f}\"",
                           xml_escape(name.substr(0, name.find('/'))), xml_escape(name.substr(name.find('/') + 1)),
                           outcome.seconds);
        if (outcome.result == TestResult::Passed)
            out += "/>\n";
        else if (outcome.result == TestResult::Skipped)
            out += fmt::format("><skipped message=\"{}\"/></testcase>\n", xml_escape(outcome.note));
        else
            out += fmt::format("><failure message=\"{}\">{}\n{}</failure></testcase>\n", xml_escape(outcome.note),
                               xml_escape(outcome.repeat), xml_escape(outcome.output));
    }
    return out + "</testsuite>\n";
}

std::string indented_end(std::string_view output) {
    std::vector<std::string> lines = split(trim(output), '\n');
    std::string out;
    if (lines.size() > kShownLines) {
        out += fmt::format("    … {} before\n", counted(lines.size() - kShownLines, "line"));
        lines.erase(lines.begin(), lines.end() - kShownLines);
    }
    for (const std::string& line : lines)
        if (!(lines.size() == 1 && line.empty())) out += "    " + line + "\n";
    return out;
}

TestOutcome run_one(const TestCase& test, const Status& status) {
    const auto begin = Clock::now();
    TestOutcome outcome;
    try {
        outcome = test.run(status);
    } catch (const std::exception& error) {
        outcome = {TestResult::Failed, error.what(), {}, {}, 0};
    }
    halt_if_ending();
    outcome.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    return outcome;
}

void report(Console& console, const TestCase& test, const TestOutcome& outcome) {
    const std::string line = fmt::format("{} ({:.2f} s)", test.name, outcome.seconds);
    switch (outcome.result) {
        case TestResult::Passed:
            if (console.verbosity() != Verbosity::Quiet)
                console.line("{}  {}", console.styled(Style::Green, "ok  "), line);
            if (console.verbosity() == Verbosity::Verbose) console.data(indented_end(outcome.output));
            return;
        case TestResult::Skipped:
            console.line("{}  {}: {}", console.styled(Style::Yellow, "skip"), line, outcome.note);
            return;
        case TestResult::Failed:
            console.data(fmt::format("{}  {}: {}\n{}{}", console.styled(Style::Red, "FAIL"), line, outcome.note,
                                     outcome.repeat.empty() ? "" : "    repeat: " + outcome.repeat + "\n",
                                     indented_end(outcome.output)));
            return;
    }
}

/// What is going on while tests run: a line on a terminal, renewed every second; without one a line every half minute
/// in which nothing else was said.
class Progress {
public:
    Progress(Console& console, size_t count)
        : console_(console), count_(count), thread_([this](std::stop_token stop) { work(stop); }) {}
    ~Progress() {
        thread_.request_stop();
        thread_.join();
        console_.progress("");
    }
    void begin(const TestCase& test) {
        const std::lock_guard lock(mutex_);
        running_.push_back({&test, Clock::now(), {}});
    }
    void tell(const TestCase& test, std::string_view line) {
        const std::lock_guard lock(mutex_);
        for (Running& running : running_)
            if (running.test == &test) running.status = line;
    }
    /// After it was reported.
    void end(const TestCase& test) {
        const std::lock_guard lock(mutex_);
        std::erase_if(running_, [&](const Running& running) { return running.test == &test; });
        ++done_;
        said_ = Clock::now();
        console_.progress(describe());
    }

private:
    static constexpr std::chrono::seconds kLive{1};
    static constexpr std::chrono::seconds kNotice{30};
    struct Running {
        const TestCase* test;
        Clock::time_point since;
        std::string status;
    };

    /// "[3/91] sanitizers/address (75 s: building asan: [12/330] …), system/swap (2 s)". Locked.
    std::string describe() const {
        std::vector<std::string> parts;
        for (const Running& running : running_) {
            const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - running.since).count();
            const bool told = !running.status.empty();
            parts.push_back(
                fmt::format("{} ({} s{}{})", running.test->name, seconds, told ? ": " : "", running.status));
        }
        return fmt::format("[{}/{}] {}", done_, count_, join(parts, ", "));
    }
    void work(const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        while (!stop.stop_requested()) {
            wake_.wait_for(lock, stop, console_.shows_progress() ? kLive : kNotice, [] { return false; });
            if (stop.stop_requested() || running_.empty()) continue;
            if (console_.shows_progress()) {
                console_.progress(describe());
            } else if (Clock::now() - said_ >= kNotice) {
                console_.notice(describe());
                said_ = Clock::now();
            }
        }
    }

    Console& console_;
    size_t count_;
    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::vector<Running> running_;  // guarded by mutex_, like the rest
    size_t done_ = 0;
    Clock::time_point said_ = Clock::now();
    std::jthread thread_;
};

/// The slowest tests, where any took long.
void report_slow(Console& console, const std::vector<TestCase>& tests, const std::vector<TestOutcome>& outcomes) {
    constexpr double kSlow = 20;
    constexpr size_t kShown = 5;
    std::vector<size_t> slow;
    for (size_t i = 0; i < tests.size(); ++i)
        if (outcomes[i].seconds >= kSlow) slow.push_back(i);
    if (slow.empty() || tests.size() <= kShown || console.verbosity() == Verbosity::Quiet) return;
    std::ranges::sort(slow, std::greater{}, [&](size_t i) { return outcomes[i].seconds; });
    if (slow.size() > kShown) slow.resize(kShown);
    std::vector<std::string> parts;
    for (size_t i : slow) parts.push_back(fmt::format("{} ({:.0f} s)", tests[i].name, outcomes[i].seconds));
    console.line("slowest: {}", join(parts, ", "));
}

}  // namespace

int run_tests(Session& session, const std::vector<TestCase>& tests, const std::string& junit) {
    Console& console = session.console;
    const auto begin = std::chrono::steady_clock::now();
    std::vector<TestOutcome> outcomes(tests.size());
    std::atomic<size_t> next{0};
    // One more than CPUs: some tests wait for times to pass.
    const size_t workers = std::clamp<size_t>(std::thread::hardware_concurrency() + 1, 2, 8);
    say_on_signals("\nhelix: interrupted; what was running has no verdict\n");
    {
        Progress progress(console, tests.size());
        const auto work = [&] {
            for (size_t i = next++; i < tests.size(); i = next++) {
                progress.begin(tests[i]);
                outcomes[i] = run_one(tests[i], [&](std::string_view line) { progress.tell(tests[i], line); });
                report(console, tests[i], outcomes[i]);
                progress.end(tests[i]);
            }
        };
        std::vector<std::jthread> threads;
        for (size_t i = 0; i < std::min(workers, tests.size()); ++i) threads.emplace_back(work);
    }
    say_on_signals(nullptr);
    size_t passed = 0, failed = 0, skipped = 0;
    for (size_t i = 0; i < tests.size(); ++i) {
        passed += outcomes[i].result == TestResult::Passed;
        failed += outcomes[i].result == TestResult::Failed;
        skipped += outcomes[i].result == TestResult::Skipped;
    }
    if (failed > 0 && tests.size() > 10) {
        console.line("\nfailed:");
        for (size_t i = 0; i < tests.size(); ++i)
            if (outcomes[i].result == TestResult::Failed) console.line("  {}: {}", tests[i].name, outcomes[i].note);
    }
    report_slow(console, tests, outcomes);
    if (!junit.empty()) write_file(junit, junit_report(tests, outcomes));
    const std::string skipped_too = skipped > 0 ? fmt::format(", {} skipped", skipped) : "";
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    console.line("{} passed, {} failed{} ({:.0f} s)", passed, failed, skipped_too, took.count());
    if (passed + failed == 0) {
        console.error("no test was executed");
        return static_cast<int>(ExitStatus::Failed);
    }
    return failed == 0 ? 0 : static_cast<int>(ExitStatus::Failed);
}

}  // namespace helix::tool

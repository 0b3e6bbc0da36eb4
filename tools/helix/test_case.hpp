// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Tests as `helix test` sees them, wherever they come from.
#pragma once

#include "commands.hpp"

#include <functional>
#include <string>
#include <vector>

namespace helix::tool {

enum class TestResult { Passed, Failed, Skipped };

struct TestOutcome {
    TestResult result = TestResult::Passed;
    std::string note;    ///< one line: why it failed or was skipped, or how much it did
    std::string output;  ///< shown when it failed
    std::string repeat;  ///< the command that repeats it
    double seconds = 0;
};

using Status = std::function<void(std::string_view line)>;

struct TestCase {
    std::string name;  ///< "ring/name", "ring/name@machine"
    bool is_long = false;
    /// Called on any thread, at the same time as others. `status` may be told what goes on, one line at a time.
    std::function<TestOutcome(const Status& status)> run;
};

/// Every test of the tree and its build, sorted by ring: architecture, unit, system, boot, others. With `sanitized`
/// only those that a sanitizer build can run; they then have `patience` times their time-out.
std::vector<TestCase> find_tests(const Session& session, bool sanitized, double patience);
/// The conformance suites for the interfaces of module `file`, on both ports. Throws Failure.
std::vector<TestCase> conformance_tests(const Session& session, const std::filesystem::path& file);

/// Runs all, a few at a time, and reports. Returns the exit status.
int run_tests(Session& session, const std::vector<TestCase>& tests, const std::string& junit);

}  // namespace helix::tool

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The commands of the tool: what each is given and how it is started. All throw Failure; all return an exit status.
#pragma once

#include "console.hpp"
#include "machine.hpp"
#include "workspace.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace helix::tool {

/// What every command gets. Outlives the command.
struct Session {
    Console& console;
    Workspace workspace;
};

struct RunOptions {
    std::string profile = "minimal";
    std::optional<Architecture> architecture;
    std::string machine = "q35";
    uint32_t cpus = 1;
    std::optional<uint64_t> memory_mb;
    std::optional<std::string> commands;  ///< --exec
    std::vector<std::string> files;
    std::string append;  ///< more words for the kernel's command line
    bool json = false;
    bool print_command = false;
    bool count_instructions = false;
    std::optional<uint64_t> replay;
    std::optional<double> timeout_s;
};
int command_run(Session& session, const RunOptions& options);
/// The machine that `options` describe, its files written. Notices go to `notices` when it is not null.
MachineSpec prepare_machine(const Session& session, const RunOptions& options, std::vector<std::string>* notices);
/// What such a number of seconds means: 0 is no limit.
Deadline machine_deadline(double seconds);
inline constexpr double kDefaultTimeout = 120;  ///< seconds, where no person is at a terminal

struct TraceOptions {
    RunOptions run;
    std::string file;
    uint32_t entries = 4096;  ///< of each CPU
    bool check = false;       ///< look at a file instead
};
int command_trace(Session& session, const TraceOptions& options);

struct CheckOptions {
    std::string profile = "minimal";
    bool json = false;
    bool dot = false;
    bool schema = false;  ///< instead: what editors complete profiles from
};
int command_check(Session& session, const CheckOptions& options);

struct InspectOptions {
    std::string file;
    bool json = false;
};
int command_inspect(Session& session, const InspectOptions& options);

struct NewModuleOptions {
    std::string name;
    std::string interface;
    std::string directory;
};
int command_new_module(Session& session, const NewModuleOptions& options);

struct TestOptions {
    std::vector<std::string> filters;  ///< any of them; none: all
    std::string junit;
    std::string sanitizer;    ///< empty, "address" or "thread"
    std::string conformance;  ///< a .hmod file, or empty
    bool list = false;
    bool with_long = false;
    bool coverage = false;
};
int command_test(Session& session, const TestOptions& options);

/// A workload run under several policies.
struct WorkloadOptions {
    std::string file;                     ///< empty: none is wanted
    std::optional<std::string> policies;  ///< names with commas; without: those of the tree
    std::optional<Architecture> architecture;
    std::optional<uint32_t> cpus;
    std::optional<uint32_t> runs;
    bool csv = false;
    std::string svg;
    bool count_instructions = false;
    bool without_peer = false;
};
struct BenchOptions {
    std::string filter;
    bool json = false;
    bool list = false;
    bool with_long = false;
    WorkloadOptions workload;
};
int command_bench(Session& session, const BenchOptions& options);
/// With a workload's file.
int bench_workload(Session& session, const BenchOptions& options);

struct DemoOptions {
    std::optional<Architecture> architecture;
    bool fast = false;
};
int command_demo(Session& session, const DemoOptions& options);

}  // namespace helix::tool

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Child processes: started with pipes, ended by their id, never left behind.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace helix::tool {

using Clock = std::chrono::steady_clock;
using Deadline = std::optional<Clock::time_point>;  ///< nothing: wait for ever

enum class ChildInput { None, Inherit, Pipe };
enum class ChildOutput {
    Inherit,
    Pipe,    ///< standard output is read here, standard error is kept for errors()
    Merged,  ///< both are read here, in the order they were written
};

struct ChildOptions {
    std::vector<std::string> arguments;                                 ///< the first is the program, searched in PATH
    std::vector<std::pair<std::string, std::string>> environment = {};  ///< beside the tool's own
    std::filesystem::path directory = {};                               ///< empty: the tool's
    ChildInput input = ChildInput::None;
    ChildOutput output = ChildOutput::Merged;
    bool own_group = true;  ///< false only where the child reads the terminal
};

/// How a child ended.
struct ChildEnd {
    int status = 0;  ///< exit status when `signal` is zero
    int signal = 0;
    bool timed_out = false;

    bool ok() const { return status == 0 && signal == 0 && !timed_out; }
    /// "exit status 3", "ended by signal 9 (Killed)", "timed out".
    std::string describe() const;
};

/// One running child. Used by one thread. The destructor kills what still runs.
class Child {
public:
    /// Throws Failure(Environment) when the program cannot be started.
    explicit Child(const ChildOptions& options);
    ~Child();
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    pid_t id() const { return id_; }
    int output_descriptor() const { return output_; }
    int input_descriptor() const { return input_; }
    /// The next output; empty at its end; nothing when the deadline passed first.
    std::optional<std::string> read(Deadline deadline);
    /// False when the child no longer reads.
    bool write(std::string_view text);
    void close_input();
    /// What it wrote to standard error so far, with ChildOutput::Pipe.
    std::string errors() const;
    /// Waits for the end; kills the child's group when the deadline passes first.
    ChildEnd wait(Deadline deadline);
    void kill();

private:
    pid_t id_ = -1;
    bool own_group_;
    int input_ = -1;
    int output_ = -1;
    int errors_ = -1;  // a file in memory: it never fills up
    std::optional<ChildEnd> end_;
};

struct CapturedRun {
    ChildEnd end;
    std::string output;
};
/// Runs to the end and returns what it wrote. On a time-out the output so far is kept. `on_line` is called with each
/// line as it comes, without blanks around it and its end; not with empty ones.
CapturedRun run_captured(const ChildOptions& options, Deadline deadline = {},
                         const std::function<void(std::string_view)>& on_line = {});

inline Deadline deadline_after(std::chrono::milliseconds duration) {
    return Clock::now() + duration;
}

/// From now on SIGINT, SIGTERM and SIGHUP kill the children first.
void end_children_on_signals();
/// What such a signal prints from now on, a literal; null: nothing.
void say_on_signals(const char* farewell);
/// Does not return once such a signal has come: what children did since means nothing, and the tool is about to end.
void halt_if_ending();
/// Opens standard input, output and error where the caller left them closed, so that no pipe takes their numbers: input
/// is at its end, the others refuse what is written. Before anything else is opened.
void open_standard_descriptors();

}  // namespace helix::tool

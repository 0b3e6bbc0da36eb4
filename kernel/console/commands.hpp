// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What a shell command is, and the table of all of them.
#pragma once

#include "kernel/console/command_line.hpp"
#include "kernel/console/line_editor.hpp"
#include "kernel/console/output.hpp"
#include "kernel/module/profile.hpp"

namespace helix::kernel {

struct Kernel;
struct Command;
class ConsoleInput;

/// The file of the initrd with the commands of `run --exec`. It is the tool's own, so `files` leaves it out.
inline constexpr Text kScriptFile = "exec";

/// Whether a command ended the session, and with which exit status.
struct SessionEnd {
    static constexpr int kByOutcome = -1;  ///< 1 if a command failed, else 0

    bool wanted = false;
    int status = kByOutcome;
};

/// One call of a command. Everything in it dies with the call.
struct Invocation {
    Kernel& kernel;
    const Command& command;
    Span<const Text> arguments;  ///< without options; as many as the command takes
    bool json;                   ///< print one JSON value on one line
    Text option;                 ///< of the command's own the one that was given; empty: none
    Text option_value;           ///< the word behind it, if it takes one
    Output& out;
    Span<char> scratch;  ///< for tables
    SessionEnd& end;
    ConsoleInput* keys;  ///< what a person types meanwhile; null where nobody does

    /// The argument at `i`, or `otherwise` when fewer were given.
    Text argument(size_t i, Text otherwise = {}) const { return i < arguments.size() ? arguments[i] : otherwise; }
};

/// Prints through `invocation.out`, with a line break at the end; what it printed is discarded if it fails. The
/// sentence of its error says what was wrong and what would be right.
using CommandFunction = Result<void> (*)(Invocation& invocation);

/// What an argument names: what completion offers, and what a wrong one is compared with.
enum class ArgumentKind : uint8_t {
    Other,
    Command,
    Module,
    ListedModule,  ///< also one that boot left out
    File,
    Interface,
    Implementor,  ///< of the interface in the word before, or a file
    Key,
    Event,
    CpuAction,
    Cpu,  ///< that the action in the word before can change; for `swap` one that is online
};

struct Command {
    static constexpr size_t kMaximumArguments = 3;

    Text name;
    Text usage;  ///< behind the name
    Text help;   ///< one line
    CommandFunction run;
    uint8_t required;  ///< arguments at least
    uint8_t accepted;  ///< arguments at most; kAnyNumber for no limit
    ArgumentKind kinds[kMaximumArguments] = {};
    bool options_take_value = false;  ///< the word behind
    Text options = {};                ///< of its own, one of them at a time, with spaces between

    static constexpr uint8_t kAnyNumber = 255;

    bool has_option(Text word) const {
        for (const Text own : Words(options))
            if (own == word) return true;
        return false;
    }
    /// Where any number is taken, the first two kinds come in turn.
    ArgumentKind kind(size_t i) const {
        if (accepted == kAnyNumber) return kinds[i % 2];
        return i < kMaximumArguments ? kinds[i] : ArgumentKind::Other;
    }
};

/// Every command, in the order in which `help` prints them.
Span<const Command> all_commands();
/// Null when there is none of that name.
const Command* find_command(Text name);

/// That no command has this name, with the nearest that there is.
Error unknown_command(Text name);

/// Offers everything that an argument of `kind` may name. `earlier` are the words before it, the command first.
/// Thread context, preemption on.
void offer_candidates(Kernel& kernel, ArgumentKind kind, Span<const Text> earlier, CompletionCandidates& out);

/// The value of `key` in the boot command line's words "key=value", the last one if there are several; or nothing.
Text boot_word(Text command_line, Text key);

/// `error`, with the nearest valid word when `word` is no module, file, interface … but resembles one. `earlier` as
/// above.
Error with_suggestion(Kernel& kernel, const Error& error, ArgumentKind kind, Span<const Text> earlier, Text word);

// commands_system.cpp
Result<void> run_help(Invocation& invocation);
Result<void> run_threads(Invocation& invocation);
Result<void> run_cpus(Invocation& invocation);
Result<void> run_cpu(Invocation& invocation);
Result<void> run_memory(Invocation& invocation);
Result<void> run_dump(Invocation& invocation);
Result<void> run_locks(Invocation& invocation);
Result<void> run_log(Invocation& invocation);
Result<void> run_files(Invocation& invocation);
Result<void> run_echo(Invocation& invocation);
Result<void> run_sleep(Invocation& invocation);
Result<void> run_settle(Invocation& invocation);
Result<void> run_poweroff(Invocation& invocation);
/// `text` as a number up to `maximum`. Errors: InvalidArgument, saying that it is not `what`.
Result<uint64_t> number_argument(Text text, Text what, uint64_t maximum);
// commands_trace.cpp
Result<void> run_trace(Invocation& invocation);
// commands_top.cpp
Result<void> run_top(Invocation& invocation);
// commands_metrics.cpp
Result<void> run_metrics(Invocation& invocation);
// commands_trial.cpp
Result<void> run_trial(Invocation& invocation);
// commands_modules.cpp
Result<void> run_modules(Invocation& invocation);
Result<void> run_module(Invocation& invocation);
Result<void> run_load(Invocation& invocation);
Result<void> run_unload(Invocation& invocation);
Result<void> run_reload(Invocation& invocation);
Result<void> run_config(Invocation& invocation);
Result<void> run_health(Invocation& invocation);
// commands_interfaces.cpp
Result<void> run_interfaces(Invocation& invocation);
Result<void> run_swap(Invocation& invocation);
Result<void> run_request(Invocation& invocation);
Result<void> run_event(Invocation& invocation);
Result<void> run_history(Invocation& invocation);
// commands_shadow.cpp
Result<void> run_shadow(Invocation& invocation);
Result<void> run_canary(Invocation& invocation);

}  // namespace helix::kernel

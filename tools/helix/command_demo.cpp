// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// `helix demo`: the tour. It types the commands, explains them, and checks that what it promises comes true.

#include "commands.hpp"
#include "failure.hpp"
#include "text.hpp"

#include <poll.h>

#include <regex>

namespace helix::tool {

namespace {

struct Step {
    std::string_view explanation;  ///< before the command
    std::string_view command;
    std::string_view expected;  ///< a pattern that the output must have
    bool fails = false;         ///< the command is meant to fail
};

constexpr Step kSteps[] = {
    {"This machine runs a kernel in which every component is a module. These are the ones it booted with:", "modules",
     "helix-scheduler-round-robin"},
    {"The scheduler is what fills the slot helix.scheduler. At the moment that is round robin:", "interfaces",
     "helix.scheduler"},
    {"A module is a file. This one makes work; it is loaded while the system runs:", "load helix-workload.hmod", ""},
    {"A thousand threads now compute, sleep, wait for each other, end and are replaced:",
     "request helix-workload start 1000", ""},
    {"Another scheduler, from a file. It does not rule yet:", "load helix-scheduler-priority.hmod", ""},
    {"Now the scheduler is replaced, under those thousand threads:", "swap helix.scheduler helix-scheduler-priority",
     ""},
    {"Was a thread lost, run twice or starved? The workload counts each one's progress:",
     "request helix-workload check", "\"lost\":0"},
    {"The record of the swap: the pause is the time in which no scheduling decision could be made.", "history",
     "committed"},
    {"A scheduler with a bug: it crashes as soon as it rules. Loading it is harmless:", "load scheduler-crashes.hmod",
     ""},
    {"It is put in charge, and faults. The supervisor notices; the threads do not:",
     "swap helix.scheduler scheduler-crashes; sleep 100; settle", "rules helix.scheduler again"},
    {"The previous scheduler carries on, with all its threads:", "request helix-workload check", "\"lost\":0"},
    {"And the kernel remembers what happened:", "history", "rolled-back"},
    {"The tour ends: the threads are stopped and the machine powers off.", "request helix-workload stop", ""},
};

constexpr std::string_view kMark = "tour-step-done\n";  // echoed behind each command, so its end is seen
constexpr auto kStepTimeout = std::chrono::seconds(60);

/// Types on the console of a machine and waits for what comes.
class Conversation {
public:
    explicit Conversation(const MachineSpec& spec)
        : child_({.arguments = machine_command(spec), .input = ChildInput::Pipe, .output = ChildOutput::Pipe}) {
        child_.write("\n");  // the first byte may be lost, see InputPump
    }

    /// What `command` printed. Throws Failure when the machine ends or is silent for too long.
    std::string ask(std::string_view command) {
        child_.write(fmt::format("{}\necho {}", command, kMark));
        const Deadline deadline = deadline_after(kStepTimeout);
        size_t found = 0;
        while ((found = buffer_.find(kMark)) == std::string::npos) {
            const std::optional<std::string> part = child_.read(deadline);
            if (!part)
                throw Failure(ExitStatus::TimedOut, "\"{}\" did not end; so far it printed:\n{}", command, buffer_);
            if (part->empty())
                throw Failure(ExitStatus::Failed, "the machine ended during \"{}\":\n{}", command,
                              buffer_ + child_.errors());
            buffer_ += *part;
            std::erase(buffer_, '\r');
        }
        std::string output = buffer_.substr(0, found);
        buffer_.erase(0, found + kMark.size());
        return output;
    }
    ChildEnd finish() {
        child_.write("poweroff 0\n");
        while (true) {
            const auto part = child_.read(deadline_after(kStepTimeout));
            if (!part || part->empty()) break;
        }
        return child_.wait(deadline_after(kStepTimeout));
    }

private:
    Child child_;
    std::string buffer_;
};

/// Time to read `text`: about 15 characters of prose a second would be slow, 40 is brisk.
void pause_for(std::string_view text, bool fast) {
    if (!fast) poll(nullptr, 0, static_cast<int>(1200 + text.size() * 25));
}

}  // namespace

int command_demo(Session& session, const DemoOptions& options) {
    Console& console = session.console;
    RunOptions run;
    run.profile = "demo";
    run.architecture = options.architecture;
    const MachineSpec spec = prepare_machine(session, run, nullptr);
    console.notice(fmt::format("Booting the profile \"demo\" {} …",
                               spec.architecture == Architecture::X86_64 ? "in QEMU" : "as a Linux process"));
    Conversation conversation(spec);
    for (const Step& step : kSteps) {
        console.data(fmt::format("\n{}\n", console.styled(Style::Cyan, step.explanation)));
        pause_for(step.explanation, options.fast);
        console.data(fmt::format("{}{}\n", kPrompt, console.styled(Style::Bold, step.command)));
        const std::string output = conversation.ask(step.command);
        console.data(output);
        const bool failed = std::regex_search(output, std::regex("^error: "));
        const bool promised = step.expected.empty() || output.find(step.expected) != std::string::npos;
        if ((failed && !step.fails) || !promised)
            throw Failure(ExitStatus::Failed, "the tour stops: \"{}\" did not do what it should", step.command);
        pause_for(std::string_view(output).substr(0, 80), options.fast);
    }
    const MachineEnd end = decode_end(spec, conversation.finish(), {});
    if (!end.problem.empty()) console.error(end.problem);
    if (end.status == 0)
        console.data(fmt::format(
            "\n{}\n", console.styled(Style::Cyan, "That was live: `./helix run demo` gives you the same shell.")));
    return end.status;
}

}  // namespace helix::tool

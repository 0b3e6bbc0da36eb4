// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The table of shell commands, completion and suggestions.
#include "kernel/console/commands.hpp"

#include "kernel/kernel.hpp"

#include <initializer_list>

namespace helix::kernel {

namespace {
constexpr Text kModuleEnding = ".hmod";

constexpr Command kCommands[] = {
    {"help", "[COMMAND]", "List the commands, or explain one.", run_help, 0, 1, {ArgumentKind::Command}},
    {"modules", "", "List the modules.", run_modules, 0, 0},
    {"module", "NAME", "Show all that is known of a module.", run_module, 1, 1, {ArgumentKind::ListedModule}},
    {"load",
     "FILE [as NAME]",
     "Load, initialise and start the module in a file of the initrd, by its own name or another.",
     run_load,
     1,
     3,
     {ArgumentKind::File}},
    {"unload",
     "NAME [--cascade]",
     "Stop a module and remove it, and before it all that depend on it if so told.",
     run_unload,
     1,
     1,
     {ArgumentKind::Module},
     false,
     "--cascade"},
    {"reload",
     "NAME [FILE] [NAME FILE]... | NAME FILE --shadow N [MS]",
     "Replace modules with their state, all or none; with --shadow after N answers that agree.",
     run_reload,
     1,
     Command::kAnyNumber,
     {ArgumentKind::Module, ArgumentKind::File},
     true,
     "--shadow"},
    {"trial", "", "List what was answered differently in the last trial.", run_trial, 0, 0},
    {"swap",
     "INTERFACE NAME [--shadow SECONDS | --canary CPU [SECONDS]]",
     "Make a module (or file) the primary of an interface, live; with --shadow a scheduler runs beside the "
     "ruling one, and how it would pick is shown: nothing is swapped; with --canary it first rules one CPU, for 5 "
     "seconds, and goes back if anything is amiss, or with Ctrl-C.",
     run_swap,
     2,
     3,
     {ArgumentKind::Interface, ArgumentKind::Implementor},
     true,
     "--shadow --canary"},
    {"interfaces", "", "List the interfaces and who implements them.", run_interfaces, 0, 0},
    {"request",
     "NAME TYPE [PAYLOAD]",
     "Send a request to a module and print its response.",
     run_request,
     2,
     3,
     {ArgumentKind::Module}},
    {"event", "NAME [DATA]", "Send a custom event to its subscribers.", run_event, 1, 2, {ArgumentKind::Event}},
    {"metrics",
     "[NAME]",
     "Show what was counted of the modules: calls, errors, failures, CPU time, memory, pauses.",
     run_metrics,
     0,
     1,
     {ArgumentKind::Module}},
    {"health", "", "Ask every running module how it is.", run_health, 0, 0},
    {"history", "", "List loads, unloads, reloads, swaps and failures.", run_history, 0, 0},
    {"threads", "", "List the threads.", run_threads, 0, 0},
    {"cpus", "", "List the CPUs.", run_cpus, 0, 0},
    {"top",
     "[MS] [--once]",
     "Show what uses the CPUs, again every MS milliseconds (1000) until a key is pressed.",
     run_top,
     0,
     1,
     {},
     false,
     "--once"},
    {"trace", "[COUNT]", "Print the latest entries of the trace (40), of all CPUs.", run_trace, 0, 1},
    {"cpu",
     "online|offline N",
     "Let a CPU take part, or move its threads away and let it sleep.",
     run_cpu,
     2,
     2,
     {ArgumentKind::CpuAction, ArgumentKind::Cpu}},
    {"dump", "", "Let the ruling scheduler say what waits in its queues, and why.", run_dump, 0, 0},
    {"locks", "", "List the ranks of locks, outermost first, and how often each was waited for.", run_locks, 0, 0},
    {"memory", "", "Show how memory is used.", run_memory, 0, 0},
    {"config",
     "NAME [KEY]",
     "Show the options of a module and their values.",
     run_config,
     1,
     2,
     {ArgumentKind::Module, ArgumentKind::Key}},
    {"log", "[COUNT]", "Print the latest log lines (256 at most).", run_log, 0, 1},
    {"files", "", "List the files of the initrd and the boot bundle.", run_files, 0, 0},
    {"echo", "[WORD...]", "Print the words.", run_echo, 0, Command::kAnyNumber},
    {"sleep", "MS", "Wait that many milliseconds.", run_sleep, 1, 1},
    {"settle", "", "Wait until events are delivered and failures dealt with.", run_settle, 0, 0},
    {"poweroff", "[STATUS]", "Stop everything and power off with an exit status (0 to 127).", run_poweroff, 0, 1},
};
}  // namespace

Span<const Command> all_commands() {
    return kCommands;
}

const Command* find_command(Text name) {
    for (const Command& command : kCommands)
        if (command.name == name) return &command;
    return nullptr;
}

Error unknown_command(Text name) {
    Nearest nearest(name);
    for (const Command& command : kCommands) nearest.offer(command.name);
    const Text shown = name.substr(0, 60);
    if (nearest.best().empty())
        return Error(ErrorCode::NotFound, format("unknown command \"{}\"; help lists them", shown).text());
    return Error(ErrorCode::NotFound, format("unknown command \"{}\"; did you mean {}?", shown, nearest.best()).text());
}

Text boot_word(Text command_line, Text key) {
    Text value;
    for (Text word : Words(command_line))
        if (word.starts_with(key) && word.size() > key.size() && word[key.size()] == '=')
            value = word.substr(key.size() + 1);
    return value;
}

void offer_candidates(Kernel& kernel, ArgumentKind kind, Span<const Text> earlier, CompletionCandidates& out) {
    switch (kind) {
        case ArgumentKind::Other: return;
        case ArgumentKind::Command:
            for (const Command& command : kCommands) out.offer(command.name);
            return;
        case ArgumentKind::ListedModule:
            kernel.modules.for_each_not_started([&](const NotStarted& left_out) { out.offer(left_out.name.text()); });
            [[fallthrough]];
        case ArgumentKind::Module:
            kernel.modules.for_each([&](ModuleRecord& record) { out.offer(record.name()); });
            return;
        case ArgumentKind::Implementor:
            kernel.modules.for_each_interface([&](InterfaceRecord& interface) {
                if (earlier.size() < 2 || interface.name != earlier[1]) return;
                for (const Slot& slot : interface.implementors) out.offer(slot.record->name());
            });
            [[fallthrough]];
        case ArgumentKind::File:
            for (const Archive* archive : {&kernel.modules.initrd(), &kernel.modules.bundle()})
                for (const ArchiveEntry& entry : *archive)
                    if (entry.is_file() && entry.name.ends_with(kModuleEnding)) out.offer(entry.name);
            return;
        case ArgumentKind::Interface:
            kernel.modules.for_each_interface([&](InterfaceRecord& interface) { out.offer(interface.name.text()); });
            return;
        case ArgumentKind::Key:
            if (earlier.size() < 2) return;
            kernel.modules.for_each([&](ModuleRecord& record) {
                if (record.name() != earlier[1]) return;
                if (record.current == nullptr) return;
                for (const Option& option : record.current->descriptor->options()) out.offer(option.key.text());
            });
            return;
        case ArgumentKind::Event:
            kernel.modules.for_each([&](ModuleRecord& record) {
                if (record.current == nullptr) return;
                for (uint32_t i = 0; i < record.current->event_name_count; ++i)
                    out.offer(record.current->event_names[i].text());
            });
            return;
        case ArgumentKind::CpuAction:
            out.offer("offline");
            out.offer("online");
            return;
        case ArgumentKind::Cpu: {
            const Cpus& cpus = kernel.threads.cpus();
            for (CpuId id = 0; id < cpus.count(); ++id)
                if (earlier.size() > 1 && cpus.is_online(id) != (earlier[1] == "online") &&
                    (id != 0 || earlier[0] == "swap"))
                    out.offer(format<4>("{}", id).text());
            return;
        }
    }
}

Error with_suggestion(Kernel& kernel, const Error& error, ArgumentKind kind, Span<const Text> earlier, Text word) {
    if (error.code() != ErrorCode::NotFound || kind == ArgumentKind::Other) return error;
    struct Candidates final : CompletionCandidates {
        explicit Candidates(Text wrong) : nearest(wrong), word(wrong) {}
        void offer(Text candidate) override {
            // Where a file is named its ending may be left out.
            if (candidate.ends_with(kModuleEnding) && !word.ends_with(kModuleEnding))
                candidate = candidate.substr(0, candidate.size() - kModuleEnding.size());
            exact |= candidate == word;
            nearest.offer(candidate);
        }
        Nearest nearest;
        Text word;
        bool exact = false;
    } candidates(word);
    offer_candidates(kernel, kind, earlier, candidates);
    const Text best = candidates.nearest.best();
    if (candidates.exact || best.empty() || error.sentence().ends_with("?")) return error;
    auto suggestion = format<100>("; did you mean {}?", best);
    if (suggestion.size() + error.sentence().size() > Error::kCapacity) return error;
    FixedText<Error::kCapacity> sentence(error.sentence());
    sentence.append(suggestion.text());
    return Error(error.code(), sentence.text());
}

}  // namespace helix::kernel

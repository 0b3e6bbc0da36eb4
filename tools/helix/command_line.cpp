// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What the words on the command line mean, and what --help says about them.

#include "command_line.hpp"

#include "commands.hpp"
#include "failure.hpp"
#include "text.hpp"

#include <CLI/CLI.hpp>

#include <functional>
#include <iostream>
#include <map>

namespace helix::tool {

namespace {

struct GlobalOptions {
    ColorMode color = ColorMode::Automatic;
    bool quiet = false;
    bool verbose = false;
};

/// The chosen command, set while the command line is parsed.
using Action = std::function<int(Session&)>;

const std::map<std::string, Architecture> kArchitectures{{"x86_64", Architecture::X86_64},
                                                         {"hosted", Architecture::Hosted}};

/// An option with one of a few values; the message for a wrong one names them all.
template <typename T, typename Target>
CLI::Option* add_choice(CLI::App* app, const std::string& name, Target& target, const std::map<std::string, T>& choices,
                        const std::string& description) {
    return app
        ->add_option_function<std::string>(
            name,
            [name, &target, &choices](const std::string& text) {
                std::vector<std::string> names;
                for (const auto& [choice, value] : choices) names.push_back(choice);
                const auto found = choices.find(text);
                if (found == choices.end())
                    throw CLI::ValidationError(name, fmt::format("\"{}\" is not one of {}{}", text, join(names, ", "),
                                                                 did_you_mean(text, names)));
                target = found->second;
            },
            description)
        ->type_name("NAME");
}

/// What `run` and `trace` have in common: the machine and what it runs.
void add_machine_options(CLI::App* app, RunOptions& options) {
    app->add_option("PROFILE", options.profile, "Name under profiles/, folder or helix.toml (default: minimal)");
    add_choice(app, "--arch", options.architecture, kArchitectures, "x86_64 (QEMU) or hosted (a Linux process)");
    app->add_option("--smp", options.cpus, "CPUs of the machine")->check(CLI::Range(1, 64))->type_name("N");
    app->add_option("--memory", options.memory_mb, "Memory of the machine")
        ->check(CLI::Range(1, 1 << 20))
        ->type_name("MB");
    app->add_option("--exec", options.commands, "Run these shell commands (\";\" separates), then power off")
        ->type_name("COMMANDS");
    app->add_option("--file", options.files, "Put this file into the initrd; may be repeated")
        ->type_name("PATH")
        ->expected(1)
        ->take_all();
    app->add_flag("--json", options.json, "The shell prints JSON, one value a line");
    app->add_option("--timeout", options.timeout_s,
                    "End the machine after this time (0: never; without a terminal 120)")
        ->type_name("SECONDS")
        ->check([](const std::string& text) {
            double seconds = 0;
            const bool good = CLI::detail::lexical_cast(text, seconds) && seconds >= 0;
            return good ? std::string() : fmt::format("\"{}\" is no number of seconds, 0 or more", text);
        });
    static const std::map<std::string, std::string> kMachines{{"q35", "q35"}, {"pc", "pc"}, {"microvm", "microvm"}};
    add_choice(app, "--machine", options.machine, kMachines, "q35, pc or microvm (x86_64)");
    app->add_option("--append", options.append, "More words \"key=value\" for the kernel")->type_name("WORDS");
    app->add_flag("--icount", options.count_instructions, "Count instructions: every run is the same (x86_64)");
    app->add_option("--replay", options.replay, "Replay the interleaving of this seed (hosted)")
        ->type_name("SEED")
        ->check([](const std::string& text) {
            uint64_t seed = 0;
            const bool good = CLI::detail::lexical_cast(text, seed);
            return good ? std::string() : fmt::format("\"{}\" is no seed, a whole number", text);
        });
}

void add_run(CLI::App& app, Action& action) {
    auto options = std::make_shared<RunOptions>();
    CLI::App* run = app.add_subcommand("run", "Boot a profile, to a shell or with commands");
    add_machine_options(run, *options);
    run->add_flag("--print-cmd", options->print_command, "Print the machine's command line and do not run it");
    run->footer(
        "Ends with the kernel's own exit status. Without a terminal, commands come from standard input and its end\n"
        "powers off.\n\nExamples:\n  helix run\n  helix run demo --exec 'modules; history' --json\n"
        "  helix run --arch hosted --replay 7 --exec modules\n  echo modules | helix run --memory 8");
    run->callback(
        [options, &action] { action = [options](Session& session) { return command_run(session, *options); }; });
}

void add_trace(CLI::App& app, Action& action) {
    auto options = std::make_shared<TraceOptions>();
    CLI::App* trace = app.add_subcommand("trace", "Run a profile and write what happened to a file for Perfetto");
    trace->add_option("-o,--output", options->file, "The file: Chrome's trace event format")
        ->type_name("FILE")
        ->required();
    add_machine_options(trace, options->run);
    trace->add_option("--entries", options->entries, "How much of each CPU is kept, the latest (default: 4096)")
        ->check(CLI::Range(16, 65536))
        ->type_name("N");
    trace->add_flag("--check", options->check, "Run nothing: say what the file holds, or what is wrong with it");
    trace->footer(
        "Runs like `helix run` without a terminal, and ends with the kernel's own exit status. Open the file in\n"
        "ui.perfetto.dev or chrome://tracing.\n\nExamples:\n"
        "  helix trace -o swap.json demo --arch hosted --smp 2 \\\n"
        "    --exec 'load helix-workload; request helix-workload start 20; sleep 50; swap helix.scheduler "
        "helix-scheduler-priority; sleep 50'\n  helix trace -o swap.json --check");
    trace->callback(
        [options, &action] { action = [options](Session& session) { return command_trace(session, *options); }; });
}

void add_test(CLI::App& app, Action& action) {
    auto options = std::make_shared<TestOptions>();
    CLI::App* test = app.add_subcommand("test", "Run the tests: architecture, unit, system, boot");
    test->add_option("FILTER", options->filters, "Part of the name, or a pattern with * and ?; several: any of them");
    test->add_flag("--list", options->list, "Print the names and run nothing");
    test->add_option("--junit", options->junit, "Also write a JUnit report")->type_name("FILE");
    test->add_flag("--long", options->with_long, "Also the tests that take minutes");
    static const std::map<std::string, std::string> kSanitizers{{"address", "address"}, {"thread", "thread"}};
    add_choice(test, "--sanitizer", options->sanitizer, kSanitizers,
               "Build with this sanitizer and run the hosted tests: address or thread");
    test->add_flag("--coverage", options->coverage,
                   "Run the hosted tests; print which lines of the kernel they execute")
        ->excludes("--sanitizer");
    test->add_option("--conformance", options->conformance, "Run the conformance suites on this module")
        ->type_name("FILE");
    test->footer(
        "Examples:\n  helix test\n  helix test boot/ unit/\n  helix test 'system/*swap*' --junit report.xml\n"
        "  helix test --conformance my_scheduler.hmod");
    test->callback(
        [options, &action] { action = [options](Session& session) { return command_test(session, *options); }; });
}

/// What `bench scheduler` runs instead of its metrics: a file, under each of some policies.
void add_workload_options(CLI::App* app, WorkloadOptions& options) {
    const auto add = [&](CLI::Option* option, CLI::Option* needed) { option->needs(needed)->group("Workloads"); };
    CLI::Option* const file =
        app->add_option("--workload", options.file, "Run this workload file under each policy (docs/workloads.md)")
            ->type_name("FILE")
            ->group("Workloads");
    add(app->add_option("--policy", options.policies,
                        "Policies, with commas: round-robin, the name of a module, a .hmod file (default: all of the "
                        "tree)")
            ->type_name("A,B,…"),
        file);
    add(add_choice(app, "--arch", options.architecture, kArchitectures,
                   "x86_64 (QEMU) or hosted (a Linux process, the default)"),
        file);
    add(app->add_option("--smp", options.cpus, "CPUs (default: 2)")->check(CLI::Range(1, 64))->type_name("N"), file);
    add(app->add_option("--runs", options.runs, "Runs of each policy, in turns (default: 3)")
            ->check(CLI::Range(1, 100))
            ->type_name("N"),
        file);
    add(app->add_flag("--csv", options.csv, "Comma-separated values"), file);
    add(app->add_option("--svg", options.svg, "Also draw it into this file")->type_name("FILE"), file);
    add(app->add_flag("--icount", options.count_instructions,
                      "Count instructions: every run is the same (x86_64; one run on one CPU unless said otherwise)"),
        file);
    add(app->add_flag("--no-peer", options.without_peer, "Without the same file on pthreads of the host"), file);
}

void add_bench(CLI::App& app, Action& action) {
    auto options = std::make_shared<BenchOptions>();
    CLI::App* bench = app.add_subcommand("bench", "Measure, side by side with peers");
    bench->add_option("NAME", options->filter,
                      "Part of a metric's name, a pattern with * and ?, or a subject: cpus, modules, scheduler");
    bench->add_flag("--json", options->json, "One JSON object a line");
    bench->add_flag("--list", options->list, "Print the names of the metrics and measure nothing");
    bench->add_flag("--long", options->with_long, "Also what takes long, which runs by its name without it");
    add_workload_options(bench, options->workload);
    bench->footer(
        "Examples:\n  helix bench\n  helix bench boot --json\n  helix bench guest.switch_pair\n"
        "  helix bench scheduler --workload modules/workload/examples/mixed.json --policy round-robin,fair --svg "
        "mixed.svg");
    bench->callback(
        [options, &action] { action = [options](Session& session) { return command_bench(session, *options); }; });
}

void add_check(CLI::App& app, Action& action) {
    auto options = std::make_shared<CheckOptions>();
    CLI::App* check = app.add_subcommand("check", "Check a profile; print start order and dependency graph");
    CLI::Option* profile =
        check->add_option("PROFILE", options->profile, "Name under profiles/, folder or helix.toml (default: minimal)");
    CLI::Option* json = check->add_flag("--json", options->json, "One JSON object");
    CLI::Option* dot = check->add_flag("--dot", options->dot, "Graphviz")->excludes(json);
    check
        ->add_flag("--schema", options->schema,
                   "No profile: the keys of all, and the options of the build's modules, as JSON Schema for editors")
        ->excludes(profile)
        ->excludes(json)
        ->excludes(dot);
    check->footer("Examples:\n  helix check demo\n  helix check demo --dot | dot -Tsvg -o demo.svg");
    check->callback(
        [options, &action] { action = [options](Session& session) { return command_check(session, *options); }; });
}

void add_new(CLI::App& app, Action& action) {
    CLI::App* create = app.add_subcommand("new", "Create something to start from");
    create->require_subcommand(1);
    auto options = std::make_shared<NewModuleOptions>();
    CLI::App* module = create->add_subcommand("module", "Create a module that builds and passes its test");
    module->add_option("NAME", options->name, "helix-scheduler-lottery, my-module, …")->required();
    module
        ->add_option("--interface", options->interface, "The interface it implements: helix.scheduler, helix.allocator")
        ->type_name("INTERFACE");
    module->add_option("--directory", options->directory, "Create it there, as a project of its own, not in the tree")
        ->type_name("DIR");
    module->footer(
        "Examples:\n  helix new module helix-scheduler-lottery --interface helix.scheduler\n"
        "  helix new module my-module --directory ~/modules");
    module->callback(
        [options, &action] { action = [options](Session& session) { return command_new_module(session, *options); }; });
}

void add_module(CLI::App& app, Action& action) {
    CLI::App* module = app.add_subcommand("module", "Look into module files");
    module->require_subcommand(1);
    auto options = std::make_shared<InspectOptions>();
    CLI::App* inspect = module->add_subcommand("inspect", "Print all that a module file says; nothing of it is run");
    inspect->add_option("FILE", options->file, "A .hmod file, or the name of a module in the build")->required();
    inspect->add_flag("--json", options->json, "One JSON object");
    inspect->footer(
        "Examples:\n  helix module inspect helix-scheduler-priority\n"
        "  helix module inspect build/release/modules/template.hmod --json");
    inspect->callback(
        [options, &action] { action = [options](Session& session) { return command_inspect(session, *options); }; });
}

void add_demo(CLI::App& app, Action& action) {
    auto options = std::make_shared<DemoOptions>();
    CLI::App* demo = app.add_subcommand("demo", "Play the tour: a live swap of the scheduler, and a crash survived");
    add_choice(demo, "--arch", options->architecture, kArchitectures, "x86_64 (QEMU) or hosted (a Linux process)");
    demo->add_flag("--fast", options->fast, "Without pauses for reading");
    demo->footer("Examples:\n  helix demo\n  helix demo --arch hosted --fast");
    demo->callback(
        [options, &action] { action = [options](Session& session) { return command_demo(session, *options); }; });
}

/// The long options that mean something where `app` and its parents stand.
std::vector<std::string> option_names(const CLI::App* app) {
    std::vector<std::string> names;
    for (; app != nullptr; app = app->get_parent())
        for (const CLI::Option* option : app->get_options())
            for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    return names;
}

std::vector<std::string> command_names(const CLI::App* app) {
    std::vector<std::string> names;
    for (const CLI::App* command : app->get_subcommands([](const CLI::App*) { return true; }))
        names.push_back(command->get_name());
    return names;
}

/// The innermost command that the arguments reached.
const CLI::App* innermost(const CLI::App* app) {
    while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
    return app;
}

/// The words that lead to `command`: "helix module inspect".
std::string path_of(const CLI::App& app, const CLI::App* command) {
    std::string path;
    for (; command != nullptr && command != &app; command = command->get_parent())
        path = " " + command->get_name() + path;
    return "helix" + path;
}

/// CLI11's message in one line, with what was probably meant.
std::string explain(const CLI::App& app, const CLI::ParseError& error) {
    const CLI::App* command = innermost(&app);
    const std::string place = path_of(app, command);
    const std::vector<std::string> extras = app.remaining(true);
    if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr ||
        dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
        const std::string word = extras.empty() ? std::string() : extras.front();
        if (word.starts_with("-")) {
            const std::string meant = did_you_mean(word, option_names(command));
            return fmt::format("{}: unknown option {}{}", place, word,
                               meant.empty() ? fmt::format("; see {} --help", place) : meant);
        }
        const std::vector<std::string> commands = command_names(command);
        if (!word.empty() && !commands.empty())
            return fmt::format("unknown command \"{}\"{} ({} --help lists them)", word, did_you_mean(word, commands),
                               place);
        if (!word.empty()) return fmt::format("{}: unexpected argument \"{}\"; see {} --help", place, word, place);
        if (!commands.empty()) return fmt::format("{} needs a command: {}", place, join(commands, ", "));
    }
    std::string message = error.what();
    for (char& c : message)
        if (c == '\n') c = ' ';
    return fmt::format("{}: {}; see {} --help", place, trim(message), place);
}

}  // namespace

int run_command_line(int argument_count, const char* const* arguments) {
    open_standard_descriptors();
    GlobalOptions global;
    Action action;
    CLI::App app("Helix: an operating-system kernel whose every component is a hot-swappable module.", "helix");
    app.set_version_flag("--version", "helix " HELIX_VERSION, "Print the version and exit");
    app.require_subcommand(1);
    app.fallthrough();
    static const std::map<std::string, ColorMode> kColors{
        {"auto", ColorMode::Automatic}, {"always", ColorMode::Always}, {"never", ColorMode::Never}};
    add_choice(&app, "--color", global.color, kColors, "auto, always or never (NO_COLOR is honoured)");
    app.add_flag("-q,--quiet", global.quiet, "Only data and errors");
    app.add_flag("-v,--verbose", global.verbose, "Say what is done");
    add_run(app, action);
    add_trace(app, action);
    add_test(app, action);
    add_bench(app, action);
    add_check(app, action);
    add_new(app, action);
    add_module(app, action);
    add_demo(app, action);
    app.footer("Exit status: 0 ok, 1 a command or test failed, 2 usage, 124 time-out, 125 tool or environment.");

    end_children_on_signals();
    const auto verbosity = [&] {
        return global.quiet ? Verbosity::Quiet : global.verbose ? Verbosity::Verbose : Verbosity::Normal;
    };
    try {
        app.parse(argument_count, arguments);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
        Console console(global.color, verbosity());
        console.error(explain(app, error));
        return static_cast<int>(ExitStatus::Usage);
    }
    Console console(global.color, verbosity());
    try {
        Session session{console, find_workspace()};
        return action(session);
    } catch (const Failure& failure) {
        console.error(failure.what());
        return static_cast<int>(failure.status());
    } catch (const std::exception& error) {
        console.error(error.what());
        return static_cast<int>(ExitStatus::Environment);
    }
}

}  // namespace helix::tool

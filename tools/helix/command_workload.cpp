// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// `helix bench scheduler --workload FILE`: the same load under one policy after the other, in turns, and on pthreads.
//
// Each run is a boot of its own. How fast a CPU computes is measured once, before all of them, so that the work of all
// is the same.

#include "commands.hpp"
#include "failure.hpp"
#include "files.hpp"
#include "text.hpp"
#include "workload_figures.hpp"
#include "workload_file.hpp"
#include "workload_plot.hpp"

#include <algorithm>
#include <thread>

namespace helix::tool {

namespace fs = std::filesystem;

namespace {

constexpr const char* kPolicies[] = {"round-robin", "priority", "fair", "deadline", "cooperative"};
constexpr std::string_view kPrefix = "helix-scheduler-";
constexpr std::string_view kRuler = "helix-scheduler-round-robin";  // of the profile
constexpr std::string_view kPeer = "linux";
constexpr uint64_t kDefaultLimitS = 600;  // the module's own, for files without a duration

struct Policy {
    std::string name;    ///< as people call it
    std::string module;  ///< what `swap` is told
    fs::path file;
};

Policy find_policy(const Session& session, const std::string& name) {
    if (name.ends_with(".hmod")) {
        if (!fs::is_regular_file(name)) throw Failure(ExitStatus::Usage, "--policy: there is no file {}", name);
        const std::string stem = fs::path(name).stem().string();
        return {stem, stem, name};
    }
    const ModuleLibrary library(session.workspace.modules());
    std::string whole = std::string(kPrefix) + name;
    std::ranges::replace(whole, '_', '-');
    for (const std::string& module : {name, whole})
        if (const fs::path file = library.find(module); !file.empty()) return {name, module, file};
    std::vector<std::string> known;
    for (const std::string& module : library.names())
        if (module.starts_with(kPrefix)) known.push_back(module.substr(kPrefix.size()));
    throw Failure(ExitStatus::Usage, "--policy: no module \"{}\" or \"{}\"{} (there are {})", name, whole,
                  did_you_mean(name, known), join(known, ", "));
}

class WorkloadBench {
public:
    WorkloadBench(Session& session, const WorkloadOptions& options)
        : session_(session),
          file_(load_workload(options.file)),
          path_(options.file),
          architecture_(
              options.architecture.value_or(options.count_instructions ? Architecture::X86_64 : Architecture::Hosted)),
          count_instructions_(options.count_instructions),
          cpus_(options.cpus.value_or(count_instructions_ ? 1 : 2)),
          runs_(options.runs.value_or(count_instructions_ ? 1 : 3)) {
        if (options.policies) {
            for (const std::string& name : words(*options.policies)) policies_.push_back(find_policy(session, name));
            if (policies_.empty())
                throw Failure(ExitStatus::Usage, "--policy: \"{}\" names no policy", *options.policies);
        } else {
            for (const char* name : kPolicies) policies_.push_back(find_policy(session, name));
        }
        peer_ = !options.without_peer && architecture_ == Architecture::Hosted;
        if (architecture_ == Architecture::Hosted && cpus_ > std::thread::hardware_concurrency())
            session.console.warning(fmt::format("{} are more than this machine has: {}", counted(cpus_, "CPU"),
                                                std::thread::hardware_concurrency()));
    }

    std::vector<WorkloadFigures> run() {
        const uint64_t steps = calibrate();
        std::vector<std::vector<WorkloadRun>> runs(policies_.size() + 1);
        for (uint32_t turn = 0; turn < runs_; ++turn) {
            for (size_t i = 0; i < policies_.size(); ++i) {
                say(turn, policies_[i].name);
                runs[i].push_back(run_policy(policies_[i], steps));
            }
            if (!peer_) continue;
            say(turn, kPeer);
            runs.back().push_back(run_peer(steps));
        }
        session_.console.progress("");
        std::vector<WorkloadFigures> out;
        for (size_t i = 0; i < policies_.size(); ++i) out.push_back(workload_figures(policies_[i].name, runs[i]));
        if (peer_) out.push_back(workload_figures(std::string(kPeer), runs.back()));
        return out;
    }

    std::string title() const {
        return fmt::format("{}: {}, {}, {}, {}", path_.filename().string(), counted(file_.plan->thread_count, "thread"),
                           counted(cpus_, "CPU"),
                           count_instructions_ ? "x86_64, a nanosecond an instruction" : name_of(architecture_),
                           runs_ == 1 ? "one run each" : fmt::format("{} runs each", runs_));
    }

private:
    void say(uint32_t turn, std::string_view name) {
        const std::string status = fmt::format("[{}/{}] running {} under {} …", turn + 1, runs_, path_.string(), name);
        if (session_.console.shows_progress())
            session_.console.progress(status);
        else
            session_.console.notice(status);
    }

    Deadline deadline() const {
        const uint64_t seconds =
            file_.plan->duration_ns == 0 ? kDefaultLimitS : file_.plan->duration_ns / 1'000'000'000;
        return deadline_after(std::chrono::seconds(seconds + 120));
    }

    std::string boot(const std::string& commands, const Policy* policy, std::string_view who) const {
        RunOptions options;
        options.profile = (session_.workspace.root / "benchmarks/workload.toml").string();
        options.architecture = architecture_;
        options.cpus = cpus_;
        options.count_instructions = count_instructions_;
        options.memory_mb = 256 + file_.plan->thread_count / 16;
        options.commands = commands;
        options.json = true;
        if (policy != nullptr) options.files.push_back(policy->file.string());
        const MachineSpec spec = prepare_machine(session_, options, nullptr);
        std::string output;
        const MachineRun run = run_machine(spec, -1, [&](std::string_view text) { output += text; }, deadline());
        if (run.end.status == 0) return output;
        std::string said = run.end.problem;
        for (const std::string& line : split(output, '\n'))
            if (line.starts_with("{\"error\"")) said = line;
        throw Failure(ExitStatus::Failed, "{}: {}", who, said);
    }

    /// Steps of computation in a millisecond; the best of some, since whatever disturbs makes fewer of them.
    uint64_t calibrate() const {
        std::string commands = "load helix-workload;";
        for (int i = 0; i < 3; ++i) commands += "request helix-workload calibrate;";
        uint64_t best = 0;
        for (const std::string& line : split(boot(commands + "poweroff", nullptr, "calibration"), '\n')) {
            const auto value = nlohmann::json::parse(line, nullptr, false);
            if (value.is_object() && value.contains("steps_per_ms"))
                best = std::max(best, value["steps_per_ms"].get<uint64_t>());
        }
        if (best == 0) throw Failure(ExitStatus::Failed, "calibration: the speed of a CPU could not be measured");
        return best;
    }

    WorkloadRun run_policy(const Policy& policy, uint64_t steps) const {
        // The shell's quotes take everything as it is but a quote.
        std::string quoted;
        for (const char c : file_.text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
        std::string commands = "load helix-workload;";
        // The one before it is mirrored while it is on probation, which the profile makes short.
        if (policy.module != kRuler)
            commands += fmt::format("swap helix.scheduler {}; sleep 100; settle;", policy.module);
        commands += fmt::format(
            "request helix-workload calibrate {}; request helix-workload run '{}'; request helix-workload details; "
            "poweroff",
            steps, quoted);
        return workload_run_in(boot(commands, &policy, policy.name), policy.name);
    }

    WorkloadRun run_peer(uint64_t steps) const {
        const fs::path program = session_.workspace.programs() / "helix-workload-peer";
        if (!fs::exists(program))
            throw Failure(ExitStatus::Environment, "{}: not built; run `cmake --build {}`, or use --no-peer",
                          program.string(), session_.workspace.build.string());
        const CapturedRun run = run_captured(
            {.arguments = {program.string(), path_.string(), std::to_string(cpus_), std::to_string(steps)}},
            deadline());
        if (!run.end.ok()) throw Failure(ExitStatus::Failed, "{}: {}: {}", kPeer, run.end.describe(), trim(run.output));
        return workload_run_in(run.output, kPeer);
    }

    Session& session_;
    WorkloadFile file_;
    fs::path path_;
    Architecture architecture_;
    bool count_instructions_;
    uint32_t cpus_;
    uint32_t runs_;
    bool peer_ = false;
    std::vector<Policy> policies_;
};

}  // namespace

int bench_workload(Session& session, const BenchOptions& options) {
    const WorkloadOptions& wanted = options.workload;
    if (!options.filter.empty() && options.filter != "scheduler")
        throw Failure(ExitStatus::Usage, "--workload is for `bench scheduler`, not for \"{}\"", options.filter);
    if (options.list || options.with_long)
        throw Failure(ExitStatus::Usage, "--workload measures no metrics: --list and --long mean nothing with it");
    if (options.json && wanted.csv) throw Failure(ExitStatus::Usage, "--json or --csv, not both");
    WorkloadBench bench(session, wanted);
    if (!wanted.svg.empty()) require_writable(wanted.svg);  // found out before it runs, not afterwards
    const std::vector<WorkloadFigures> figures = bench.run();
    session.console.data(options.json ? workload_json(figures)
                         : wanted.csv ? workload_csv(figures)
                                      : workload_table(figures));
    if (wanted.svg.empty()) return 0;
    write_file(wanted.svg, workload_svg(bench.title(), figures));
    session.console.notice(fmt::format("{}: written", wanted.svg));
    return 0;
}

}  // namespace helix::tool

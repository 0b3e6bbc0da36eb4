// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The module system step by step against a model: loads, unloads, reloads, swaps, requests, calls by handle, crashes,
// hangs and restarts, legal and illegal, some while memory runs out, on graphs of modules drawn from the seed. What a
// step gives, who runs, in which version, generation and with which count, and who is primary, must be what the model
// says (expected_modules.hpp); and when all are gone, nothing of them is left.
#include "expected_modules.hpp"
#include "kernel/memory/failure_injection.hpp"

#include <utility>

namespace helix::test {
namespace {

using kernel::Attempt;
using kernel::FailureInjection;
using kernel::ModuleState;

constexpr uint32_t kNodes = NodeGraph::kNodes;
constexpr uint64_t kProbationNs = ExpectedModules::kProbationNs;
constexpr Text kInterface = "test.node";

class ModuleSystemModel {
public:
    ModuleSystemModel(const ModelRun& run, Restarts restarts)
        : modules_(run.kernel.modules),
          threads_(run.kernel.threads),
          heap_(run.kernel.heap),
          random_(run.seed),
          restarts_(restarts),
          nodes_(restarts == Restarts::Never ? 0 : kForeseeableLimit) {}

    void step() {
        end_what_is_about_to();
        memory_runs_out_ = random_.one_in(4);
        const auto node = draw_node();
        const auto file = draw_file();
        // Seldom enough all who are there have failed.
        const bool orphaned = nodes_.primary() == kNodes && !nodes_.implementors().empty() && random_.one_in(4);
        switch (orphaned ? 12 : random_.below(20)) {
            case 0:
            case 1:
            case 2: load(node, file); break;
            case 3: random_.one_in(2) ? unload(node) : unload_all_with(node); break;
            case 4:
            case 5: reload(node, file); break;
            case 6: crash(node); break;
            case 7: relay(node, draw_node()); break;
            case 8: random_.one_in(4) ? end_restarts() : end_probations(); break;
            case 9:
            case 10: reload_both(node, file, draw_node(), draw_file()); break;
            case 11: swap(node); break;
            case 12: swap_to_file(node, file); break;
            case 13: random_.one_in(3) ? crash_primary(node) : call_primary(node); break;
            case 14: random_.one_in(3) && restarts_ != Restarts::Never ? hang(node) : add(node); break;
            default: add(node); break;
        }
        end_what_is_about_to();  // some steps take their time
        check();
    }
    /// Everything is unloaded, dependents first.
    void empty() {
        memory_runs_out_ = false;
        for (uint32_t round = 0; round < kNodes; ++round)
            for (uint32_t node = 0; node < kNodes; ++node)
                if (nodes_[node].is_loaded()) unload(node);
        for (uint32_t node = 0; node < kNodes; ++node) MODEL_CHECK(!nodes_[node].is_loaded());
        check();
    }
    /// Nobody is loaded: as much memory is used as the first time.
    void check_what_is_used() {
        const uint64_t used = heap_.statistics().heap_bytes_used;
        if (used_ == 0) used_ = used;
        if (used != used_) kernel::this_kernel().log.error("model", "{} bytes are used, not {}", used, used_);
        MODEL_CHECK(used == used_);
    }

private:
    uint32_t draw_node() { return static_cast<uint32_t>(random_.below(kNodes)); }
    NodeGraph::File draw_file() { return static_cast<NodeGraph::File>(random_.below(NodeGraph::kFiles)); }

    // ---- The steps. Each does it, and says what had to come of it.

    void load(uint32_t node, NodeGraph::File file) {
        const auto result = attempt([&] { return modules_.load(NodeGraph::file_of(node, file).text()); });
        tell("load", NodeGraph::file_of(node, file).text(), result);
        if (nodes_[node].is_loaded()) return expect(result, ErrorCode::AlreadyExists);
        if (!can_be_loaded(node, file)) return expect_failure(result);
        if (succeeded(result)) nodes_.load(node, file);
    }
    bool can_be_loaded(uint32_t node, NodeGraph::File file) const {
        return nodes_.needs_are_met(node) && !nodes_.conflicts(node, file) &&
               !ExpectedModules::fails(node, file, "init") && !ExpectedModules::fails(node, file, "start");
    }

    void unload(uint32_t node) {
        const auto& before = nodes_[node];
        const auto result = attempt([&] { return modules_.unload(NodeGraph::name_of(node).text()); });
        tell("unload", NodeGraph::name_of(node).text(), result);
        if (!before.is_loaded()) return expect(result, ErrorCode::NotFound);
        if (before.is_wanted() && nodes_.is_needed(node)) return expect(result, ErrorCode::Busy);
        if (was_gone(result, stops_cleanly(node))) nodes_.unload(node);
    }
    bool stops_cleanly(uint32_t node) const {
        return !(nodes_[node].runs() && ExpectedModules::fails(node, nodes_[node].current.file, "stop"));
    }
    /// A module that cannot stop is gone all the same.
    bool was_gone(const Result<void>& result, bool cleanly) const {
        const bool unclean = !result.ok() && result.error().code() == ErrorCode::ModuleFailed;
        if (!failed_on_purpose_) MODEL_CHECK(cleanly ? result.ok() : unclean);
        return unclean || succeeded(result);
    }

    /// With its dependents: that is never refused here, since none of them is essential.
    void unload_all_with(uint32_t node) {
        bool leaves[kNodes] = {};
        leaves[node] = true;
        uint32_t count = 1;
        for (uint32_t other = 0; other < kNodes; ++other) {
            if (leaves[other] || !nodes_[other].is_wanted() || !nodes_[node].is_wanted()) continue;
            bool needs = false;
            for (uint32_t which = 0; which < kNodes; ++which) needs |= leaves[which] && nodes_.has_need(other, which);
            if (!needs) continue;
            leaves[other] = true;
            ++count;
            other = UINT32_MAX;  // and again from the first
        }
        Gone gone;
        const auto result = attempt([&] {
            return modules_.unload(NodeGraph::name_of(node).text(), kernel::Dependents::Unload, note_gone, &gone);
        });
        tell("unload with its dependents", NodeGraph::name_of(node).text(), result);
        if (!nodes_[node].is_loaded()) return expect(result, ErrorCode::NotFound);
        bool cleanly = true;
        for (uint32_t other = 0; other < kNodes; ++other) cleanly &= !leaves[other] || stops_cleanly(other);
        if (!was_gone(result, cleanly)) return MODEL_CHECK(gone.count == 0);
        MODEL_CHECK(gone.count == count);
        for (uint32_t i = 0; i < count; ++i) {
            const uint32_t next = gone.nodes[i];
            MODEL_CHECK(leaves[next] && nodes_[next].is_loaded());
            // No need leads to who is gone already, unless both needed each other.
            for (uint32_t k = i + 1; k < count; ++k)
                MODEL_CHECK(!nodes_.has_need(gone.nodes[k], next) || ExpectedModules::reaches(next, gone.nodes[k]));
            nodes_.unload(next);
        }
    }
    struct Gone {
        uint32_t nodes[kNodes];
        uint32_t count = 0;
    };
    static void note_gone(void* context, Text name) {
        auto& gone = *static_cast<Gone*>(context);
        MODEL_CHECK(gone.count < kNodes);
        for (uint32_t node = 0; node < kNodes; ++node)
            if (NodeGraph::name_of(node).text() == name) gone.nodes[gone.count++] = node;
    }

    void reload(uint32_t node, NodeGraph::File file) {
        const auto& before = nodes_[node];
        const NodeGraph::File old_file = before.current.file;
        const bool ran = before.runs();
        // Whether it comes to that would not be known.
        if (ran && ExpectedModules::ends(node, old_file, "save")) memory_runs_out_ = false;
        const auto result = attempt(
            [&] { return modules_.reload(NodeGraph::name_of(node).text(), NodeGraph::file_of(node, file).text()); });
        tell("reload", NodeGraph::file_of(node, file).text(), result);
        if (!before.is_loaded()) return expect(result, ErrorCode::NotFound);
        if (!nodes_.needs_are_met(node)) return expect_failure(result);
        if (!nodes_.serves_dependents(node, file) || nodes_.conflicts(node, file))
            return expect(result, ErrorCode::Incompatible);
        if (ExpectedModules::fails(node, file, "init")) return expect_failure(result);
        if (ran) {
            if (ExpectedModules::fails(node, old_file, "save")) {
                expect_failure(result);
                if (ExpectedModules::ends(node, old_file, "save")) fail(node);
                return;
            }
            const bool older = NodeGraph::version_of(file) < NodeGraph::version_of(old_file);
            if (older) return expect(result, ErrorCode::Incompatible);  // it cannot read this state
            if (ExpectedModules::fails(node, file, "restore")) return expect_failure(result);
        }
        if (ExpectedModules::fails(node, file, "start") || ExpectedModules::fails(node, file, "health"))
            return expect_failure(result);
        if (succeeded(result)) nodes_.replace(node, file, began_probation(result.value(), ran));
    }

    /// Two nodes as one transaction.
    void reload_both(uint32_t one, NodeGraph::File file, uint32_t other, NodeGraph::File other_file) {
        const auto names = {NodeGraph::name_of(one), NodeGraph::name_of(other)};
        const auto files = {NodeGraph::file_of(one, file), NodeGraph::file_of(other, other_file)};
        const kernel::Wanted wanted[] = {{names.begin()[0].text(), files.begin()[0].text()},
                                         {names.begin()[1].text(), files.begin()[1].text()}};
        for (const uint32_t node : {one, other})
            if (nodes_[node].runs() && ExpectedModules::ends(node, nodes_[node].current.file, "save"))
                memory_runs_out_ = false;
        const auto result = attempt([&] { return modules_.reload(wanted); });
        tell("reload with another", files.begin()[0].text(), result);
        if (!nodes_[one].is_loaded() || !nodes_[other].is_loaded()) return expect(result, ErrorCode::NotFound);
        if (one == other) return expect(result, ErrorCode::InvalidArgument);
        if (!nodes_[one].runs() || !nodes_[other].runs()) return expect(result, ErrorCode::InvalidState);
        if (!nodes_.serves_dependents(one, file, other) || !nodes_.serves_dependents(other, other_file, one))
            return expect(result, ErrorCode::Incompatible);
        const auto may_be_there = [&](uint32_t node) {
            return nodes_.needs_are_met(node) && !nodes_.conflicts(node, nodes_[node].current.file);
        };
        const bool can_return = may_be_there(one) && may_be_there(other);
        const ExpectedModules::Service before[] = {nodes_[one].current, nodes_[other].current};
        nodes_[one].current.file = file;
        nodes_[other].current.file = other_file;
        const bool possible = may_be_there(one) && may_be_there(other);
        const bool other_first = nodes_.has_need(one, other) && !nodes_.has_need(other, one);
        nodes_[one].current = before[0];
        nodes_[other].current = before[1];
        if (!possible || ExpectedModules::fails(one, file, "init") || ExpectedModules::fails(other, other_file, "init"))
            return expect_failure(result);
        for (const uint32_t node : {other_first ? other : one, other_first ? one : other}) {
            if (!ExpectedModules::fails(node, nodes_[node].current.file, "save")) continue;
            expect_failure(result);
            if (ExpectedModules::ends(node, nodes_[node].current.file, "save")) fail(node);
            return;
        }
        for (const auto& [node, next] : {std::pair(one, file), std::pair(other, other_file)}) {
            if (NodeGraph::version_of(next) < NodeGraph::version_of(nodes_[node].current.file) ||
                ExpectedModules::fails(node, next, "restore") || ExpectedModules::fails(node, next, "start") ||
                ExpectedModules::fails(node, next, "health"))
                return expect_failure(result);
        }
        if (!succeeded(result)) return;
        const bool probation = began_probation(result.value(), can_return);
        nodes_.replace(one, file, probation);
        nodes_.replace(other, other_file, probation);
        if (!probation) return;
        nodes_[one].partner = other;
        nodes_[other].partner = one;
    }
    /// Whether reload `id` did; for lack of memory it need not.
    bool began_probation(uint64_t id, bool expected) {
        kernel::HistoryRecord record;
        MODEL_CHECK(modules_.history().find(id, record));
        const bool began = record.phase == kernel::Phase::Probation;
        MODEL_CHECK(began == expected || (failed_on_purpose_ && !began));
        return began;
    }

    /// A module that is loaded, or not, is to be the primary implementor.
    void swap(uint32_t node) {
        const NodeGraph::File file = nodes_[node].current.file;
        if (nodes_[node].runs() && ExpectedModules::ends(node, file, "health")) memory_runs_out_ = false;
        const auto result = attempt([&] { return modules_.swap(kInterface, NodeGraph::name_of(node).text()); });
        tell("swap", NodeGraph::name_of(node).text(), result);
        if (!nodes_[node].is_loaded()) return expect(result, ErrorCode::NotFound);
        if (!nodes_[node].runs()) return expect(result, ErrorCode::InvalidState);
        if (nodes_.primary() == node) return expect(result, ErrorCode::AlreadyExists);
        if (ExpectedModules::fails(node, file, "health")) {
            expect_failure(result);
            if (ExpectedModules::ends(node, file, "health")) fail(node);
            return;
        }
        if (succeeded(result)) nodes_.swap(node, ExpectedModules::Loaded::Before);
    }
    /// It gets the state of who serves.
    void swap_to_file(uint32_t node, NodeGraph::File file) {
        const uint32_t before = nodes_.primary();
        const bool takes_state = before != kNodes && nodes_[before].runs();
        const auto served = takes_state ? nodes_[before].current : ExpectedModules::Service{};
        const bool ends_saving = takes_state && ExpectedModules::ends(before, served.file, "save");
        if (ends_saving) memory_runs_out_ = false;
        const auto result = attempt([&] { return modules_.swap(kInterface, NodeGraph::file_of(node, file).text()); });
        tell("swap", NodeGraph::file_of(node, file).text(), result);
        if (nodes_.implementors().empty()) return expect(result, ErrorCode::NotFound);
        if (nodes_[node].is_loaded()) return expect(result, ErrorCode::AlreadyExists);
        if (!nodes_.needs_are_met(node) || nodes_.conflicts(node, file) || ExpectedModules::fails(node, file, "init"))
            return expect_failure(result);
        if (takes_state && ExpectedModules::fails(before, served.file, "save")) {
            expect_failure(result);
            if (ends_saving) fail(before);
            return;
        }
        if (takes_state && NodeGraph::version_of(file) < NodeGraph::version_of(served.file))
            return expect(result, ErrorCode::Incompatible);
        if ((takes_state && ExpectedModules::fails(node, file, "restore")) ||
            ExpectedModules::fails(node, file, "start") ||
            (before != kNodes && ExpectedModules::fails(node, file, "health")))
            return expect_failure(result);
        if (!succeeded(result)) return;
        nodes_.load(node, file);
        nodes_[node].current.count = served.count;
        if (before != kNodes) nodes_.swap(node, ExpectedModules::Loaded::ForThat);
    }

    void crash(uint32_t node) {
        if (end_by("crash", node)) fail(node);
    }
    /// Until the watchdog of calls finds it.
    void hang(uint32_t node) {
        if (!end_by("hang", node)) return;
        // Its own probation, and so its partner's, goes on for as long as the call.
        for (uint32_t other = 0; other < kNodes; ++other)
            if (other != node && other != nodes_[node].partner) nodes_.end_probation(other);
        if (node != nodes_.primary()) nodes_.end_swap();
        fail(node);
    }
    /// Whether that request ended the module.
    bool end_by(Text request, uint32_t node) {
        const auto result = modules_.request(nullptr, NodeGraph::name_of(node).text(), request, {});
        tell(request, NodeGraph::name_of(node).text(), result);
        if (!nodes_[node].is_loaded()) return expect(result, ErrorCode::NotFound), false;
        if (nodes_[node].state == ModuleState::Restarting) return expect(result, ErrorCode::TimedOut), false;
        if (!nodes_[node].runs()) return expect(result, ErrorCode::InvalidState), false;
        expect(result, ErrorCode::ModuleFailed);
        return true;
    }
    void fail(uint32_t node) {
        modules_.settle();
        nodes_.fail(node);
    }

    void add(uint32_t node) {
        const bool runs = nodes_[node].runs();
        const uint64_t answer = ask(NodeGraph::name_of(node).text(), "add", {}, runs);
        if (runs) MODEL_CHECK(answer == ++nodes_[node].current.count);
    }
    void relay(uint32_t node, uint32_t target) {
        const auto name = NodeGraph::name_of(target);
        const Bytes payload(reinterpret_cast<const uint8_t*>(name.data()), name.size());
        const bool both = nodes_[node].runs() && nodes_[target].runs() && node != target;
        const uint64_t answer = ask(NodeGraph::name_of(node).text(), "relay", payload, both);
        if (both) MODEL_CHECK(answer == ++nodes_[target].current.count);
    }

    /// By a handle of `node`, to itself too.
    void call_primary(uint32_t node) {
        if (would_wait(node)) return;
        const bool runs = nodes_[node].runs() && nodes_.primary() != kNodes;
        const uint64_t answer = ask(NodeGraph::name_of(node).text(), "call", {}, runs);
        if (runs) MODEL_CHECK(answer == ++nodes_[nodes_.primary()].current.count);
    }
    void crash_primary(uint32_t node) {
        if (would_wait(node) || !nodes_[node].runs()) return;
        const auto result = modules_.request(nullptr, NodeGraph::name_of(node).text(), "call-crash", {});
        tell("crash the primary by", NodeGraph::name_of(node).text(), result);
        const uint32_t primary = nodes_.primary();
        if (primary == kNodes) return expect(result, ErrorCode::ModuleAbsent);
        expect(result, ErrorCode::ModuleFailed);
        fail(primary);
    }
    /// Until the primary implementor is back, which is no failure.
    bool would_wait(uint32_t node) const {
        return nodes_[node].runs() && nodes_.primary() != kNodes && !nodes_[nodes_.primary()].runs();
    }

    // ---- Time. Close to its end nobody knows whether a probation still lasts, or whether a restart was tried already.

    void end_what_is_about_to() {
        for (uint32_t node = 0; node < kNodes; ++node)
            if (nodes_[node].on_probation && arch::now_ns() + kProbationNs / 2 > nodes_[node].probation_end_ns)
                end_probations();
        if (nodes_.replaced() != kNodes && arch::now_ns() + kProbationNs / 2 > nodes_.swap_end_ns()) end_probations();
        for (uint32_t node = 0; node < kNodes; ++node)
            if (nodes_[node].state == ModuleState::Restarting &&
                arch::now_ns() + kForeseeableDelayNs / 2 > nodes_[node].due_ns)
                end_restarts();
    }
    void end_probations() { wait(kProbationNs + kProbationNs / 10); }
    /// Until each has come back, or was given up: who waits for one that is given up has its own attempts before it.
    void end_restarts() {
        wait(kNodes * kForeseeableLimit * kForeseeableDelayNs);
        nodes_.end_restarts();
    }
    void wait(uint64_t duration_ns) {
        MODEL_CHECK(threads_.sleep(duration_ns).ok());
        modules_.settle();
        for (uint32_t node = 0; node < kNodes; ++node) nodes_.end_probation(node);
        nodes_.end_swap();
    }

    // ---- Looking.

    /// What changes modules; if memory is to run out, that is while it lasts, or once.
    template <typename Change>
    auto attempt(Change change) -> decltype(change()) {
        constexpr Attempt kKinds[] = {Attempt::Allocation, Attempt::Mapping, Attempt::Service};
        if (memory_runs_out_)
            FailureInjection::arm(
                kKinds[random_.below(3)], 1 + random_.below(40),
                random_.one_in(2) ? FailureInjection::Duration::Once : FailureInjection::Duration::FromThenOn);
        auto result = change();
        failed_on_purpose_ = memory_runs_out_ && FailureInjection::disarm();
        return result;
    }
    /// Of a step that has to succeed, unless it failed on purpose: then nothing may have changed.
    template <typename T>
    bool succeeded(const Result<T>& result) const {
        MODEL_CHECK(result.ok() || failed_on_purpose_);
        if (!result.ok()) MODEL_CHECK(!result.error().sentence().empty());
        return result.ok();
    }
    /// A line for who reads a run that failed. Says what a step gave.
    template <typename T>
    void tell(Text step, Text what, const Result<T>& result) const {
        arch::console_write(format<300>("{} {}{}: {}\n", step, what,
                                        failed_on_purpose_ ? Text(" (short of memory)") : Text(),
                                        result.ok() ? Text("done") : result.error().sentence())
                                .text());
    }
    template <typename T>
    static void expect_failure(const Result<T>& result) {
        MODEL_CHECK(!result.ok());
        MODEL_CHECK(!result.error().sentence().empty());
    }
    template <typename T>
    void expect(const Result<T>& result, ErrorCode code) const {
        expect_failure(result);
        MODEL_CHECK(result.error().code() == code || failed_on_purpose_);
    }
    /// The number in the answer to a request that must succeed, or fail.
    uint64_t ask(Text name, Text type, Bytes payload, bool succeeds) {
        auto response = modules_.request(nullptr, name, type, payload);
        MODEL_CHECK(response.ok() == succeeds);
        if (!succeeds) return 0;
        uint64_t number = 0;
        MODEL_CHECK(parse_unsigned(as_text(response.value().payload().bytes()), number));
        return number;
    }
    void check() {
        bool seen[kNodes] = {};
        modules_.for_each([&](kernel::ModuleRecord& record) {
            for (uint32_t node = 0; node < kNodes; ++node) {
                if (record.name() != NodeGraph::name_of(node).text()) continue;
                const auto& expected = nodes_[node];
                seen[node] = true;
                MODEL_CHECK(record.state() == expected.state);
                MODEL_CHECK(record.generation == expected.generation);
                MODEL_CHECK(record.restarts.count == expected.restarts);
                MODEL_CHECK(record.file.text().starts_with(NodeGraph::file_of(node, expected.current.file).text()));
                const Version version = record.current->info().version();
                MODEL_CHECK(version.major == NodeGraph::version_of(expected.current.file));
            }
        });
        check_interface();
        for (uint32_t node = 0; node < kNodes; ++node) {
            MODEL_CHECK(seen[node] == nodes_[node].is_loaded());
            if (!nodes_[node].runs()) continue;
            MODEL_CHECK(ask(NodeGraph::name_of(node).text(), "get", {}, true) == nodes_[node].current.count);
        }
    }
    void check_interface() {
        const auto is_node = [](const kernel::ModuleRecord* record, uint32_t node) {
            return node == kNodes ? record == nullptr
                                  : record != nullptr && record->name() == NodeGraph::name_of(node).text();
        };
        size_t count = 0;
        modules_.for_each_interface([&](kernel::InterfaceRecord& interface) {
            if (interface.name != kInterface) return;
            MODEL_CHECK(is_node(interface.primary_record, nodes_.primary()));
            const bool runs = nodes_.primary() != kNodes && nodes_[nodes_.primary()].runs();
            MODEL_CHECK(runs == (interface.primary->target != nullptr));
            if (runs) MODEL_CHECK(interface.primary->closed == 0);
            for (const kernel::Slot& slot : interface.implementors) {
                MODEL_CHECK(count < nodes_.implementors().count);
                const uint32_t node = nodes_.implementors().entries[count++];
                MODEL_CHECK(is_node(slot.record, node));
                MODEL_CHECK(nodes_[node].runs() == (slot.target != nullptr));
            }
        });
        MODEL_CHECK(count == nodes_.implementors().count);
    }

    kernel::ModuleSystem& modules_;
    kernel::Threads& threads_;
    kernel::Heap& heap_;
    KernelRandom random_;
    const Restarts restarts_;
    ExpectedModules nodes_;
    bool memory_runs_out_ = false;    ///< in this step
    bool failed_on_purpose_ = false;  ///< it did
    uint64_t used_ = 0;
};

template <Restarts kRestarts>
void run_module_system_model(const ModelRun& run) {
    ModuleSystemModel model(run, kRestarts);
    constexpr uint64_t kStepsUntilEmpty = 200;
    for (uint64_t i = 0; i < run.steps; ++i) {
        model.step();
        took_step();
        if (i % kStepsUntilEmpty != kStepsUntilEmpty - 1) continue;
        model.empty();
        model.check_what_is_used();
    }
}

TEST(ModuleSystemModel, IsFollowedStepByStep) {
    run_model(run_module_system_model<Restarts::Never>, Machines::Replay, "helix-scheduler-round-robin",
              draw_hanging_node_graph);
}
TEST(ModuleSystemModel, IsFollowedStepByStepWhereModulesAreRestarted) {
    run_model(run_module_system_model<Restarts::Foreseeable>, Machines::Replay, "helix-scheduler-round-robin",
              draw_hanging_node_graph, Restarts::Foreseeable);
}

}  // namespace
}  // namespace helix::test

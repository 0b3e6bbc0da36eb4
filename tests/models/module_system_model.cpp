// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The module system step by step against a model: loads, unloads, reloads, requests, crashes and restarts, legal and
// illegal, on graphs of modules drawn from the seed. What a step gives, who runs, in which version, generation and with
// which count, must be what the model says; and when all are gone, nothing of them is left.
#include "node_graph.hpp"

#include <utility>

namespace helix::test {
namespace {

using kernel::ModuleState;

constexpr uint32_t kNodes = NodeGraph::kNodes;
constexpr uint64_t kProbationNs = 1'000'000'000;

class ModuleSystemModel {
public:
    ModuleSystemModel(const ModelRun& run, Restarts restarts)
        : modules_(run.kernel.modules),
          threads_(run.kernel.threads),
          heap_(run.kernel.heap),
          random_(run.seed),
          restarts_(restarts == Restarts::Never ? 0 : kForeseeableLimit) {}

    void step() {
        // Close to its end nobody knows whether a probation still lasts, or whether a restart was tried already.
        for (const Node& node : nodes_)
            if (node.on_probation && arch::now_ns() + kProbationNs / 2 > node.probation_end_ns) end_probations();
        for (const Node& node : nodes_)
            if (node.state == ModuleState::Restarting && arch::now_ns() + kForeseeableDelayNs / 2 > node.due_ns)
                end_restarts();
        const auto node = static_cast<uint32_t>(random_.below(kNodes));
        const auto file = static_cast<NodeGraph::File>(random_.below(NodeGraph::kFiles));
        switch (random_.below(14)) {
            case 0:
            case 1:
            case 2: load(node, file); break;
            case 3: random_.one_in(2) ? unload(node) : unload_all_with(node); break;
            case 4:
            case 5: reload(node, file); break;
            case 6: crash(node); break;
            case 7: relay(node, static_cast<uint32_t>(random_.below(kNodes))); break;
            case 8: random_.one_in(4) ? end_restarts() : end_probations(); break;
            case 9:
            case 10:
                reload_both(node, file, static_cast<uint32_t>(random_.below(kNodes)),
                            static_cast<NodeGraph::File>(random_.below(NodeGraph::kFiles)));
                break;
            default: add(node); break;
        }
        check();
    }
    /// Everything is unloaded, dependents first.
    void empty() {
        for (uint32_t round = 0; round < kNodes; ++round)
            for (uint32_t node = 0; node < kNodes; ++node)
                if (nodes_[node].is_loaded()) unload(node);
        for (const Node& node : nodes_) MODEL_CHECK(!node.is_loaded());
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
    /// What serves, or would again.
    struct Service {
        NodeGraph::File file = NodeGraph::First;
        uint64_t count = 0;
    };
    struct Node {
        ModuleState state = ModuleState::Registered;  ///< Registered: not loaded
        Service current;
        uint32_t generation = 0;
        bool on_probation = false;
        Service previous = {};  ///< on probation: what returns
        uint64_t probation_end_ns = 0;
        uint32_t partner = kNodes;  ///< on probation: who was replaced together with it
        uint32_t attempts = 0;      ///< to restart it, since somebody started it
        uint32_t restarts = 0;      ///< since it was loaded
        uint64_t due_ns = 0;        ///< while it is Restarting, or a little later

        bool is_loaded() const { return state != ModuleState::Registered; }
        bool is_wanted() const { return runs() || state == ModuleState::Restarting; }
        bool runs() const { return state == ModuleState::Running; }
    };

    // ---- The steps. Each does it, and says what had to come of it.

    void load(uint32_t node, NodeGraph::File file) {
        const auto result = modules_.load(NodeGraph::file_of(node, file).text());
        tell("load", NodeGraph::file_of(node, file).text(), result);
        if (nodes_[node].is_loaded()) return expect(result, ErrorCode::AlreadyExists);
        if (!needs_are_met(node) || conflicts(node, file)) return expect_failure(result);
        if (fails(node, file, "init") || fails(node, file, "start")) return expect_failure(result);
        MODEL_CHECK(result.ok());
        nodes_[node] = Node{.state = ModuleState::Running, .current = {file, 0}, .generation = 1};
    }

    void unload(uint32_t node) {
        Node& before = nodes_[node];
        const auto result = modules_.unload(NodeGraph::name_of(node).text());
        tell("unload", NodeGraph::name_of(node).text(), result);
        if (!before.is_loaded()) return expect(result, ErrorCode::NotFound);
        if (before.is_wanted() && is_needed(node)) return expect(result, ErrorCode::Busy);
        // A module that cannot stop is gone all the same.
        MODEL_CHECK(result.ok() == !(before.runs() && fails(node, before.current.file, "stop")));
        end_probation(node);
        before = Node{};
    }

    /// With its dependents: that is never refused here, since none of them is essential.
    void unload_all_with(uint32_t node) {
        bool leaves[kNodes] = {};
        leaves[node] = true;
        uint32_t count = 1;
        for (uint32_t other = 0; other < kNodes; ++other) {
            if (leaves[other] || !nodes_[other].is_wanted() || !nodes_[node].is_wanted()) continue;
            bool needs = false;
            for (uint32_t which = 0; which < kNodes; ++which) needs |= leaves[which] && has_need(other, which);
            if (!needs) continue;
            leaves[other] = true;
            ++count;
            other = UINT32_MAX;  // and again from the first
        }
        Gone gone;
        const auto result =
            modules_.unload(NodeGraph::name_of(node).text(), kernel::Dependents::Unload, note_gone, &gone);
        tell("unload with its dependents", NodeGraph::name_of(node).text(), result);
        if (!nodes_[node].is_loaded()) return expect(result, ErrorCode::NotFound);
        bool clean = true;
        MODEL_CHECK(gone.count == count);
        for (uint32_t i = 0; i < count; ++i) {
            const uint32_t next = gone.nodes[i];
            MODEL_CHECK(leaves[next] && nodes_[next].is_loaded());
            // No need leads to who is gone already, unless both needed each other.
            for (uint32_t k = i + 1; k < count; ++k)
                MODEL_CHECK(!has_need(gone.nodes[k], next) || reaches(next, gone.nodes[k]));
            clean &= !(nodes_[next].runs() && fails(next, nodes_[next].current.file, "stop"));
            end_probation(next);
            nodes_[next] = Node{};
        }
        MODEL_CHECK(result.ok() == clean);
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
        Node& before = nodes_[node];
        const auto result = modules_.reload(NodeGraph::name_of(node).text(), NodeGraph::file_of(node, file).text());
        tell("reload", NodeGraph::file_of(node, file).text(), result);
        if (!before.is_loaded()) return expect(result, ErrorCode::NotFound);
        if (!needs_are_met(node)) return expect_failure(result);
        if (!serves_dependents(node, file) || conflicts(node, file)) return expect(result, ErrorCode::Incompatible);
        if (fails(node, file, "init")) return expect_failure(result);
        const bool ran = before.runs();
        if (ran) {
            if (fails(node, before.current.file, "save")) {
                expect_failure(result);
                if (crashes(node, before.current.file, "save")) fail(node);
                return;
            }
            const bool older = NodeGraph::version_of(file) < NodeGraph::version_of(before.current.file);
            if (older) return expect(result, ErrorCode::Incompatible);  // it cannot read this state
            if (fails(node, file, "restore")) return expect_failure(result);
        }
        if (fails(node, file, "start") || fails(node, file, "health")) return expect_failure(result);
        MODEL_CHECK(result.ok());
        replace(node, file, ran);
    }
    void replace(uint32_t node, NodeGraph::File file, bool probation) {
        end_probation(node);
        Node& before = nodes_[node];
        before.on_probation = probation;
        before.previous = before.current;
        before.probation_end_ns = arch::now_ns() + kProbationNs;
        before.current = {file, before.runs() ? before.current.count : 0};
        before.state = ModuleState::Running;
        before.attempts = 0;
        ++before.generation;
    }
    void end_probation(uint32_t node) {
        const uint32_t partner = std::exchange(nodes_[node].partner, kNodes);
        nodes_[node].on_probation = false;
        if (partner == kNodes) return;
        nodes_[partner].on_probation = false;
        nodes_[partner].partner = kNodes;
    }

    /// Two nodes as one transaction.
    void reload_both(uint32_t one, NodeGraph::File file, uint32_t other, NodeGraph::File other_file) {
        const auto names = {NodeGraph::name_of(one), NodeGraph::name_of(other)};
        const auto files = {NodeGraph::file_of(one, file), NodeGraph::file_of(other, other_file)};
        const kernel::Wanted wanted[] = {{names.begin()[0].text(), files.begin()[0].text()},
                                         {names.begin()[1].text(), files.begin()[1].text()}};
        const auto result = modules_.reload(wanted);
        tell("reload with another", files.begin()[0].text(), result);
        if (!nodes_[one].is_loaded() || !nodes_[other].is_loaded()) return expect(result, ErrorCode::NotFound);
        if (one == other) return expect(result, ErrorCode::InvalidArgument);
        if (!nodes_[one].runs() || !nodes_[other].runs()) return expect(result, ErrorCode::InvalidState);
        if (!serves_dependents(one, file, other) || !serves_dependents(other, other_file, one))
            return expect(result, ErrorCode::Incompatible);
        const auto may_be_there = [&](uint32_t node) {
            return needs_are_met(node) && !conflicts(node, nodes_[node].current.file);
        };
        const bool can_return = may_be_there(one) && may_be_there(other);
        const Service before[] = {nodes_[one].current, nodes_[other].current};
        nodes_[one].current.file = file;
        nodes_[other].current.file = other_file;
        const bool possible = may_be_there(one) && may_be_there(other);
        const bool other_first = has_need(one, other) && !has_need(other, one);
        nodes_[one].current = before[0];
        nodes_[other].current = before[1];
        if (!possible || fails(one, file, "init") || fails(other, other_file, "init")) return expect_failure(result);
        for (const uint32_t node : {other_first ? other : one, other_first ? one : other}) {
            if (!fails(node, nodes_[node].current.file, "save")) continue;
            expect_failure(result);
            if (crashes(node, nodes_[node].current.file, "save")) fail(node);
            return;
        }
        for (const auto& [node, next] : {std::pair(one, file), std::pair(other, other_file)}) {
            if (NodeGraph::version_of(next) < NodeGraph::version_of(nodes_[node].current.file) ||
                fails(node, next, "restore") || fails(node, next, "start") || fails(node, next, "health"))
                return expect_failure(result);
        }
        MODEL_CHECK(result.ok());
        replace(one, file, can_return);
        replace(other, other_file, can_return);
        if (!can_return) return;
        nodes_[one].partner = other;
        nodes_[other].partner = one;
    }

    void crash(uint32_t node) {
        const auto result = modules_.request(nullptr, NodeGraph::name_of(node).text(), "crash", {});
        tell("crash", NodeGraph::name_of(node).text(), result);
        if (!nodes_[node].is_loaded()) return expect(result, ErrorCode::NotFound);
        if (nodes_[node].state == ModuleState::Restarting) return expect(result, ErrorCode::TimedOut);
        if (!nodes_[node].runs()) return expect(result, ErrorCode::InvalidState);
        expect(result, ErrorCode::ModuleFailed);
        fail(node);
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

    void end_probations() {
        MODEL_CHECK(threads_.sleep(kProbationNs + kProbationNs / 10).ok());
        modules_.settle();
        for (uint32_t node = 0; node < kNodes; ++node) end_probation(node);
    }

    /// Until each has come back, or was given up: who waits for one that is given up has its own attempts before it.
    void end_restarts() {
        MODEL_CHECK(threads_.sleep(kNodes * kForeseeableLimit * kForeseeableDelayNs).ok());
        modules_.settle();
        for (uint32_t node = 0; node < kNodes; ++node) end_probation(node);
        const auto next = [&] {
            for (uint32_t node = 0; node < kNodes; ++node)
                if (nodes_[node].state == ModuleState::Restarting && !waits_for_needs(node)) return node;
            return kNodes;
        };
        for (uint32_t node = next(); node != kNodes; node = next()) restart(node);
        for (const Node& node : nodes_) MODEL_CHECK(node.state != ModuleState::Restarting);
    }

    // ---- What follows from what.

    /// The running instance failed: the previous version returns, or another instance, perhaps later, or nobody.
    void fail(uint32_t node) {
        modules_.settle();
        Node& failed = nodes_[node];
        if (!failed.on_probation) {
            plan_restart(node);
            if (failed.state != ModuleState::Restarting || failed.attempts != 0) return;
            if (!waits_for_needs(node)) return restart(node);
            for (const Node& other : nodes_)  // it is looked at again when something else is due
                if (other.state == ModuleState::Restarting && other.due_ns < failed.due_ns)
                    failed.due_ns = other.due_ns;
            return;
        }
        const uint32_t both[] = {node, failed.partner};
        bool returns = true;
        for (const uint32_t each : both)
            if (each != kNodes)
                returns &= !fails(each, nodes_[each].previous.file, "restore") &&
                           !fails(each, nodes_[each].previous.file, "start");
        end_probation(node);
        if (!returns) {
            failed.state = ModuleState::Failed;
            return;
        }
        for (const uint32_t each : both) {
            if (each == kNodes) continue;
            nodes_[each].current = nodes_[each].previous;
            ++nodes_[each].generation;
        }
    }
    void plan_restart(uint32_t node) {
        Node& failed = nodes_[node];
        failed.state = failed.attempts < restarts_ ? ModuleState::Restarting : ModuleState::Failed;
        failed.due_ns = arch::now_ns() + kForeseeableDelayNs;
    }
    /// An attempt, which fails where the file does or a need is not met.
    void restart(uint32_t node) {
        Node& failed = nodes_[node];
        ++failed.attempts;
        for (const Text where : {Text("init"), Text("start"), Text("health")})
            if (fails(node, failed.current.file, where)) return plan_restart(node);
        if (!needs_are_met(node)) return plan_restart(node);
        failed.state = ModuleState::Running;
        failed.current.count = 0;
        ++failed.generation;
        ++failed.restarts;
    }
    /// Whether what a node needs is there once those are back that are to come back, but not now.
    bool waits_for_needs(uint32_t node) const {
        bool waits = false;
        for (const NodeGraph::Need& need : node_graph.nodes[node].needs) {
            if (is_met(need)) continue;
            const Node& other = nodes_[need.node];
            if (!other.is_wanted() || NodeGraph::version_of(other.current.file) < need.at_least) return false;
            waits = true;
        }
        return waits;
    }
    static bool crashes(uint32_t node, NodeGraph::File file, Text where) {
        const Text fails = node_graph.nodes[node].fails;
        return file == NodeGraph::Failing && fails.starts_with("crash-") && fails.substr(6) == where;
    }
    static bool fails(uint32_t node, NodeGraph::File file, Text where) {
        return file == NodeGraph::Failing && (node_graph.nodes[node].fails == where || crashes(node, file, where));
    }
    bool is_met(const NodeGraph::Need& need) const {
        if (need.node == kNodes) return true;
        const Node& other = nodes_[need.node];
        return other.runs() && NodeGraph::version_of(other.current.file) >= need.at_least;
    }
    bool needs_are_met(uint32_t node) const {
        for (const NodeGraph::Need& need : node_graph.nodes[node].needs)
            if (!is_met(need)) return false;
        return true;
    }
    /// Whether all who run with what they need from `node`, or would if that ran, would go on with `file` of it; but
    /// for `partner`.
    bool serves_dependents(uint32_t node, NodeGraph::File file, uint32_t partner = kNodes) const {
        for (uint32_t other = 0; other < kNodes; ++other) {
            if (other == node || other == partner || !nodes_[other].is_wanted()) continue;
            for (const NodeGraph::Need& need : node_graph.nodes[other].needs)
                if (need.node == node && NodeGraph::version_of(nodes_[node].current.file) >= need.at_least &&
                    NodeGraph::version_of(file) < need.at_least)
                    return false;
        }
        return true;
    }
    bool is_needed(uint32_t node) const {
        for (uint32_t other = 0; other < kNodes; ++other) {
            if (other != node && nodes_[other].is_wanted() && has_need(other, node)) return true;
        }
        return false;
    }
    /// Whether `other` needs `node` and has it, as far as that is there.
    bool has_need(uint32_t other, uint32_t node) const {
        for (const NodeGraph::Need& need : node_graph.nodes[other].needs)
            if (need.node == node && NodeGraph::version_of(nodes_[node].current.file) >= need.at_least) return true;
        return false;
    }
    /// Whether `file` of `node` and somebody who runs, or is to run again, cannot be there together.
    bool conflicts(uint32_t node, NodeGraph::File file) const {
        for (uint32_t other = 0; other < kNodes; ++other) {
            if (other == node || !nodes_[other].is_wanted()) continue;
            const NodeGraph::Need& own = node_graph.nodes[node].conflict;
            const NodeGraph::Need& its = node_graph.nodes[other].conflict;
            if (own.node == other && NodeGraph::version_of(nodes_[other].current.file) >= own.at_least) return true;
            if (its.node == node && NodeGraph::version_of(file) >= its.at_least) return true;
        }
        return false;
    }
    /// Whether `from` needs `to`, or something that does.
    bool reaches(uint32_t from, uint32_t to) const {
        bool reached[kNodes] = {};
        reached[from] = true;
        for (uint32_t round = 0; round < kNodes; ++round)
            for (uint32_t node = 0; node < kNodes; ++node)
                for (const NodeGraph::Need& need : node_graph.nodes[node].needs)
                    if (reached[node] && need.node != kNodes) reached[need.node] = true;
        return reached[to];
    }

    // ---- Looking.

    /// A line for who reads a run that failed. Says what a step gave.
    template <typename T>
    static void tell(Text step, Text what, const Result<T>& result) {
        arch::console_write(
            format<300>("{} {}: {}\n", step, what, result.ok() ? Text("done") : result.error().sentence()).text());
    }
    template <typename T>
    static void expect_failure(const Result<T>& result) {
        MODEL_CHECK(!result.ok());
        MODEL_CHECK(!result.error().sentence().empty());
    }
    template <typename T>
    static void expect(const Result<T>& result, ErrorCode code) {
        expect_failure(result);
        MODEL_CHECK(result.error().code() == code);
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
                const Node& expected = nodes_[node];
                seen[node] = true;
                MODEL_CHECK(record.state() == expected.state);
                MODEL_CHECK(record.generation == expected.generation);
                MODEL_CHECK(record.restarts.count == expected.restarts);
                MODEL_CHECK(record.file.text().starts_with(NodeGraph::file_of(node, expected.current.file).text()));
                const Version version = record.current->info().version();
                MODEL_CHECK(version.major == NodeGraph::version_of(expected.current.file));
            }
        });
        for (uint32_t node = 0; node < kNodes; ++node) {
            MODEL_CHECK(seen[node] == nodes_[node].is_loaded());
            if (!nodes_[node].runs()) continue;
            MODEL_CHECK(ask(NodeGraph::name_of(node).text(), "get", {}, true) == nodes_[node].current.count);
        }
    }

    kernel::ModuleSystem& modules_;
    kernel::Threads& threads_;
    kernel::Heap& heap_;
    KernelRandom random_;
    const uint32_t restarts_;  ///< so many attempts to restart a module
    Node nodes_[kNodes];
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
              draw_node_graph);
}
TEST(ModuleSystemModel, IsFollowedStepByStepWhereModulesAreRestarted) {
    run_model(run_module_system_model<Restarts::Foreseeable>, Machines::Replay, "helix-scheduler-round-robin",
              draw_node_graph, Restarts::Foreseeable);
}

}  // namespace
}  // namespace helix::test

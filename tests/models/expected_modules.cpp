// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ExpectedModules: needs, conflicts, probations, restarts and who is the primary implementor.
#include "expected_modules.hpp"

#include <utility>

namespace helix::test {

// ---- What was done.

void ExpectedModules::load(uint32_t node, NodeGraph::File file) {
    nodes_[node] = Node{.state = ModuleState::Running, .current = {file, 0}, .generation = 1};
    implementors_.push(node);
    if (primary_ == kNodes) primary_ = node;
}

void ExpectedModules::unload(uint32_t node) {
    end_probation(node);
    end_swap_of(node);
    nodes_[node] = Node{};
    implementors_.remove(node);
    pass_on(node);
}

void ExpectedModules::replace(uint32_t node, NodeGraph::File file, bool probation) {
    end_probation(node);
    end_swap_of(node);
    Node& before = nodes_[node];
    before.on_probation = probation;
    before.previous = before.current;
    before.probation_end_ns = arch::now_ns() + kProbationNs;
    before.current = {file, before.runs() ? before.current.count : 0};
    before.state = ModuleState::Running;
    before.attempts = 0;
    ++before.generation;
    if (primary_ == kNodes) primary_ = node;
}

void ExpectedModules::swap(uint32_t node, Loaded loaded) {
    const bool returns = primary_ != kNodes && nodes_[primary_].runs();
    replaced_ = returns ? primary_ : kNodes;
    loaded_ = loaded;
    swap_end_ns_ = arch::now_ns() + kProbationNs;
    primary_ = node;
}

/// Who has a part in the last swap is replaced or gone.
void ExpectedModules::end_swap_of(uint32_t node) {
    if (node == primary_ || node == replaced_) end_swap();
}

/// The node that failed was swapped in: who was primary before is so again. True if the node goes with that.
bool ExpectedModules::roll_back_swap(uint32_t node) {
    if (replaced_ == kNodes || node != primary_) return false;
    const uint32_t back = std::exchange(replaced_, kNodes);
    if (!nodes_[back].is_wanted()) return false;
    primary_ = back;
    return loaded_ == Loaded::ForThat;
}

void ExpectedModules::end_probation(uint32_t node) {
    const uint32_t partner = std::exchange(nodes_[node].partner, kNodes);
    nodes_[node].on_probation = false;
    if (partner == kNodes) return;
    nodes_[partner].on_probation = false;
    nodes_[partner].partner = kNodes;
}

void ExpectedModules::fail(uint32_t node) {
    Node& failed = nodes_[node];
    if (roll_back_swap(node)) return unload(node);
    if (!failed.on_probation) {
        uint64_t now_ns = arch::now_ns();
        plan_restart(node, now_ns);
        if (failed.state != ModuleState::Restarting || failed.attempts != 0) return;
        if (!waits_for_needs(node)) return restart(node, now_ns);
        for (const Node& other : nodes_)  // it is looked at again when something else is due
            if (other.state == ModuleState::Restarting && other.due_ns < failed.due_ns) failed.due_ns = other.due_ns;
        return;
    }
    const uint32_t both[] = {node, failed.partner};
    bool returns = true;
    for (const uint32_t each : both)
        if (each != kNodes)
            returns &= !fails(each, nodes_[each].previous.file, "restore") &&
                       !fails(each, nodes_[each].previous.file, "start");
    end_probation(node);
    if (!returns) return give_up(node);
    for (const uint32_t each : both) {
        if (each == kNodes) continue;
        nodes_[each].current = nodes_[each].previous;
        ++nodes_[each].generation;
    }
}

void ExpectedModules::end_restarts() {
    constexpr uint64_t kLookNs = 20'000'000;
    const auto first_due = [&](uint32_t but) {
        uint64_t first_ns = UINT64_MAX;
        for (uint32_t node = 0; node < kNodes; ++node)
            if (node != but && nodes_[node].state == ModuleState::Restarting && nodes_[node].due_ns < first_ns)
                first_ns = nodes_[node].due_ns;
        return first_ns;
    };
    uint64_t now_ns = 0;
    for (uint64_t next_ns = first_due(kNodes); next_ns != UINT64_MAX; next_ns = first_due(kNodes)) {
        if (now_ns < next_ns) now_ns = next_ns;
        for (size_t i = 0; i < implementors_.count; ++i) {
            const uint32_t node = implementors_.entries[i];
            Node& due = nodes_[node];
            if (due.state != ModuleState::Restarting || due.due_ns > now_ns) continue;
            if (!waits_for_needs(node)) {
                restart(node, now_ns);
                continue;
            }
            due.due_ns = first_due(node);
            if (due.due_ns <= now_ns) due.due_ns = now_ns + kLookNs;
        }
    }
}

void ExpectedModules::plan_restart(uint32_t node, uint64_t now_ns) {
    Node& failed = nodes_[node];
    if (failed.attempts >= restarts_) return give_up(node);
    failed.state = ModuleState::Restarting;
    failed.due_ns = now_ns + kForeseeableDelayNs;
}

/// An attempt, which fails where the file does or a need is not met. It may take its time.
void ExpectedModules::restart(uint32_t node, uint64_t& now_ns) {
    Node& failed = nodes_[node];
    ++failed.attempts;
    if (!needs_are_met(node)) return plan_restart(node, now_ns);
    for (const Text where : {Text("init"), Text("start"), Text("health")}) {
        if (!fails(node, failed.current.file, where)) continue;
        if (node_graph.nodes[node].fails.starts_with("hang-")) now_ns += kernel::Instance::kLifecycleWaitNs;
        return plan_restart(node, now_ns);
    }
    failed.state = ModuleState::Running;
    failed.current.count = 0;
    ++failed.generation;
    ++failed.restarts;
    if (primary_ == kNodes) primary_ = node;
}

void ExpectedModules::give_up(uint32_t node) {
    nodes_[node].state = ModuleState::Failed;
    pass_on(node);
}

/// Where `from` was primary one that runs is, that of the highest version and of these the first, or nobody.
void ExpectedModules::pass_on(uint32_t from) {
    if (primary_ != from) return;
    primary_ = kNodes;
    const auto version = [&](uint32_t node) { return NodeGraph::version_of(nodes_[node].current.file); };
    for (size_t i = 0; i < implementors_.count; ++i) {
        const uint32_t node = implementors_.entries[i];
        if (nodes_[node].runs() && (primary_ == kNodes || version(node) > version(primary_))) primary_ = node;
    }
}

// ---- What follows.

bool ExpectedModules::ends(uint32_t node, NodeGraph::File file, Text where) {
    const Text fails = node_graph.nodes[node].fails;
    return file == NodeGraph::Failing &&
           (fails.starts_with("crash-") ? fails.substr(6) == where
                                        : fails.starts_with("hang-") && fails.substr(5) == where);
}

bool ExpectedModules::fails(uint32_t node, NodeGraph::File file, Text where) {
    return file == NodeGraph::Failing && (node_graph.nodes[node].fails == where || ends(node, file, where));
}

bool ExpectedModules::is_met(const NodeGraph::Need& need) const {
    if (need.node == kNodes) return true;
    const Node& other = nodes_[need.node];
    return other.runs() && NodeGraph::version_of(other.current.file) >= need.at_least;
}

bool ExpectedModules::needs_are_met(uint32_t node) const {
    for (const NodeGraph::Need& need : node_graph.nodes[node].needs)
        if (!is_met(need)) return false;
    return true;
}

/// Whether what a node needs is there once those are back that are to come back, but not now.
bool ExpectedModules::waits_for_needs(uint32_t node) const {
    bool waits = false;
    for (const NodeGraph::Need& need : node_graph.nodes[node].needs) {
        if (is_met(need)) continue;
        const Node& other = nodes_[need.node];
        if (!other.is_wanted() || NodeGraph::version_of(other.current.file) < need.at_least) return false;
        waits = true;
    }
    return waits;
}

bool ExpectedModules::serves_dependents(uint32_t node, NodeGraph::File file, uint32_t partner) const {
    for (uint32_t other = 0; other < kNodes; ++other) {
        if (other == node || other == partner || !nodes_[other].is_wanted()) continue;
        for (const NodeGraph::Need& need : node_graph.nodes[other].needs)
            if (need.node == node && NodeGraph::version_of(nodes_[node].current.file) >= need.at_least &&
                NodeGraph::version_of(file) < need.at_least)
                return false;
    }
    return true;
}

bool ExpectedModules::is_needed(uint32_t node) const {
    for (uint32_t other = 0; other < kNodes; ++other)
        if (other != node && nodes_[other].is_wanted() && has_need(other, node)) return true;
    return false;
}

bool ExpectedModules::has_need(uint32_t other, uint32_t node) const {
    for (const NodeGraph::Need& need : node_graph.nodes[other].needs)
        if (need.node == node && NodeGraph::version_of(nodes_[node].current.file) >= need.at_least) return true;
    return false;
}

bool ExpectedModules::conflicts(uint32_t node, NodeGraph::File file) const {
    for (uint32_t other = 0; other < kNodes; ++other) {
        if (other == node || !nodes_[other].is_wanted()) continue;
        const NodeGraph::Need& own = node_graph.nodes[node].conflict;
        const NodeGraph::Need& its = node_graph.nodes[other].conflict;
        if (own.node == other && NodeGraph::version_of(nodes_[other].current.file) >= own.at_least) return true;
        if (its.node == node && NodeGraph::version_of(file) >= its.at_least) return true;
    }
    return false;
}

bool ExpectedModules::reaches(uint32_t from, uint32_t to) {
    bool reached[kNodes] = {};
    reached[from] = true;
    for (uint32_t round = 0; round < kNodes; ++round)
        for (uint32_t node = 0; node < kNodes; ++node)
            for (const NodeGraph::Need& need : node_graph.nodes[node].needs)
                if (reached[node] && need.node != kNodes) reached[need.node] = true;
    return reached[to];
}

}  // namespace helix::test

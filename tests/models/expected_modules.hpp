// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What the modules of a graph have to be like: the model's side of the module system. It says what follows from what;
// what was done is told to it.
#pragma once

#include "node_graph.hpp"
#include "players.hpp"

namespace helix::test {

class ExpectedModules {
public:
    static constexpr uint32_t kNodes = NodeGraph::kNodes;
    static constexpr uint64_t kProbationNs = 1'000'000'000;
    using ModuleState = kernel::ModuleState;

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

    /// A module that fails is started again so many times.
    explicit ExpectedModules(uint32_t restarts) : restarts_(restarts) {}
    Node& operator[](uint32_t node) { return nodes_[node]; }
    const Node& operator[](uint32_t node) const { return nodes_[node]; }
    /// The primary implementor of what all nodes implement; kNodes: nobody is.
    uint32_t primary() const { return primary_; }
    /// Who was so before the last swap, and is again if that fails; kNodes: nobody.
    uint32_t replaced() const { return replaced_; }
    uint64_t swap_end_ns() const { return swap_end_ns_; }
    /// All who implement it, as they came.
    const Line<kNodes>& implementors() const { return implementors_; }

    // ---- What was done.

    void load(uint32_t node, NodeGraph::File file);
    void unload(uint32_t node);
    void replace(uint32_t node, NodeGraph::File file, bool probation);
    enum class Loaded : uint8_t { Before, ForThat };
    void swap(uint32_t node, Loaded loaded);
    void end_probation(uint32_t node);
    /// Of the last swap: nobody returns any more.
    void end_swap() { replaced_ = kNodes; }
    /// The running instance failed, and the supervisor has looked after it: the previous version returns, or another
    /// instance, perhaps later, or nobody.
    void fail(uint32_t node);
    /// So much time has passed that each module that is to come back did so, or was given up.
    void end_restarts();

    // ---- What follows. Of the nodes as they are now.

    /// Whether that file of `node` fails there, and in a way that ends the instance.
    static bool fails(uint32_t node, NodeGraph::File file, Text where);
    static bool ends(uint32_t node, NodeGraph::File file, Text where);
    bool needs_are_met(uint32_t node) const;
    /// Whether all who run with what they need from `node`, or would if that ran, would go on with `file` of it; but
    /// for `partner`.
    bool serves_dependents(uint32_t node, NodeGraph::File file, uint32_t partner = kNodes) const;
    bool is_needed(uint32_t node) const;
    /// Whether `other` needs `node` and has it, as far as that is there.
    bool has_need(uint32_t other, uint32_t node) const;
    /// Whether `file` of `node` and somebody who runs, or is to run again, cannot be there together.
    bool conflicts(uint32_t node, NodeGraph::File file) const;
    /// Whether `from` needs `to`, or something that does.
    static bool reaches(uint32_t from, uint32_t to);

private:
    bool is_met(const NodeGraph::Need& need) const;
    bool waits_for_needs(uint32_t node) const;
    void plan_restart(uint32_t node, uint64_t now_ns);
    void restart(uint32_t node, uint64_t& now_ns);
    void give_up(uint32_t node);
    void pass_on(uint32_t from);
    void end_swap_of(uint32_t node);
    bool roll_back_swap(uint32_t node);

    const uint32_t restarts_;
    Node nodes_[kNodes];
    uint32_t primary_ = kNodes;
    uint32_t replaced_ = kNodes;
    Loaded loaded_ = Loaded::Before;
    uint64_t swap_end_ns_ = 0;
    Line<kNodes> implementors_;
};

}  // namespace helix::test

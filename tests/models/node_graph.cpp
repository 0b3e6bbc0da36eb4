// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Drawing graphs of modules, and writing them into copies of one file.
#include "node_graph.hpp"

#include "benchmarks/hosted_kernel.hpp"

#include <stdexcept>

namespace helix::test {

NodeGraph node_graph;

namespace {

/// Overwrites the one text `old` of a module's description, which is stored inline, with `now`.
template <size_t N>
void replace_text(std::string& file, Text old, Text now) {
    const FixedText<N> from(old), to(now);
    const std::string_view wanted(reinterpret_cast<const char*>(&from), sizeof(from));
    const size_t at = file.find(wanted);
    if (at == std::string::npos || file.find(wanted, at + 1) != std::string::npos)
        throw std::runtime_error("not once in the module: " + std::string(old));
    file.replace(at, sizeof(to), reinterpret_cast<const char*>(&to), sizeof(to));
}

void draw(NodeGraph& graph, KernelRandom random, bool may_hang) {
    constexpr Text kFailures[] = {"init",          "start",        "stop",        "save",       "restore",
                                  "health",        "crash-init",   "crash-start", "crash-stop", "crash-save",
                                  "crash-restore", "crash-health", "hang-init",   "hang-start", "hang-stop",
                                  "hang-save",     "hang-restore", "hang-health"};
    constexpr size_t kFailureCount = sizeof(kFailures) / sizeof(kFailures[0]), kHangs = 6;
    const bool may_have_cycles = random.one_in(3);
    for (uint32_t i = 0; i < NodeGraph::kNodes; ++i) {
        NodeGraph::Node& node = graph.nodes[i];
        node.fails = kFailures[random.below(may_hang ? kFailureCount : kFailureCount - kHangs)];
        for (NodeGraph::Need& need : node.needs) {
            const uint32_t limit = may_have_cycles && random.one_in(4) ? NodeGraph::kNodes : i;
            if (limit == 0 || !random.one_in(3)) continue;
            need.node = static_cast<uint32_t>(random.below(limit));
            if (need.node == i) need.node = NodeGraph::kNodes;
            need.at_least = random.one_in(3) ? 2 : 1;
        }
        if (random.one_in(5)) {
            node.conflict.node = static_cast<uint32_t>(random.below(NodeGraph::kNodes));
            node.conflict.at_least = random.one_in(2) ? 2 : 1;
        }
        if (node.conflict.node == i) node.conflict.node = NodeGraph::kNodes;
    }
}

/// Draws the graph and makes its files.
std::vector<std::pair<std::string, std::string>> make_node_graph(uint64_t seed, bool may_hang) {
    // As in the node's source.
    constexpr Text kPlaces[NodeGraph::kNeeds] = {"helix-memory >=1", "helix-memory >=1.0", "helix-memory >=1.0.0",
                                                 "helix-memory <100"};
    draw(node_graph, KernelRandom(seed), may_hang);
    const std::string versions[] = {benchmark::module_content("node"), benchmark::module_content("node-2")};
    std::vector<std::pair<std::string, std::string>> files;
    for (uint32_t i = 0; i < NodeGraph::kNodes; ++i) {
        const NodeGraph::Node& node = node_graph.nodes[i];
        for (const auto which : {NodeGraph::First, NodeGraph::Second, NodeGraph::Failing}) {
            std::string file = versions[NodeGraph::version_of(which) - 1];
            replace_text<46>(file, "node", NodeGraph::name_of(i).text());
            for (uint32_t k = 0; k < NodeGraph::kNeeds; ++k) {
                const NodeGraph::Need& need = node.needs[k];
                if (need.node == NodeGraph::kNodes) continue;
                replace_text<62>(file, kPlaces[k],
                                 format<62>("{} >={}", NodeGraph::name_of(need.node).text(), need.at_least).text());
            }
            if (node.conflict.node != NodeGraph::kNodes)
                replace_text<62>(
                    file, "node-none",
                    format<62>("{} >={}", NodeGraph::name_of(node.conflict.node).text(), node.conflict.at_least)
                        .text());
            if (which == NodeGraph::Failing) replace_text<38>(file, "nowhere", node.fails);
            files.emplace_back(std::string(NodeGraph::file_of(i, which).text()) + ".hmod", std::move(file));
        }
    }
    return files;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> draw_node_graph(uint64_t seed) {
    return make_node_graph(seed, false);
}
std::vector<std::pair<std::string, std::string>> draw_hanging_node_graph(uint64_t seed) {
    return make_node_graph(seed, true);
}

}  // namespace helix::test

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A graph of modules drawn from a seed: who needs whom and conflicts with whom, and files in which that stands
// (modules/test/node).
#pragma once

#include "model_kernel.hpp"

namespace helix::test {

struct NodeGraph {
    static constexpr uint32_t kNodes = 6;
    static constexpr uint32_t kNeeds = 4;
    /// The files of each node: both versions, and version 2 with a failure.
    enum File : uint32_t { First, Second, Failing, kFiles };

    struct Need {
        uint32_t node = kNodes;  ///< kNodes: none
        uint32_t at_least = 1;   ///< the version
    };
    struct Node {
        Need needs[kNeeds];
        Need conflict;
        Text fails;  ///< what its failing file does
    };
    Node nodes[kNodes];

    static uint32_t version_of(File file) { return file == First ? 1 : 2; }
    static FixedText<46> name_of(uint32_t node) { return format<46>("node-{}", node); }
    /// Without the ending.
    static FixedText<46> file_of(uint32_t node, File file) {
        constexpr Text kNames[kFiles] = {"1", "2", "failing"};
        return format<46>("node-{}-{}", node, kNames[file]);
    }
};

/// Of this process; drawn by the next.
extern NodeGraph node_graph;
/// Draws the graph of `seed` and makes its files. Most nodes need only those of lower numbers; some graphs have cycles.
std::vector<std::pair<std::string, std::string>> draw_node_graph(uint64_t seed);
/// The same with nodes that hang: each time the kernel waits seconds for that, so under replay alone.
std::vector<std::pair<std::string, std::string>> draw_hanging_node_graph(uint64_t seed);

}  // namespace helix::test

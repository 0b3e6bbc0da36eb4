// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Tests of the tree of threads: in order, whole, with right summaries, and not deep.

#include "thread_tree.hpp"

#include "../conformance/report.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace {
using namespace helix;

struct Entry {
    scheduling::TreeNode node;
    uint64_t key;
    uint64_t value;
    uint64_t least;
    bool queued;
};
struct ByKey {
    static scheduling::TreeNode& node(SchedulerThread& thread) { return thread.policy<Entry>().node; }
    static const scheduling::TreeNode& node(const SchedulerThread& thread) { return thread.policy<Entry>().node; }
    static bool before(const SchedulerThread& a, const SchedulerThread& b) {
        return a.policy<Entry>().key < b.policy<Entry>().key;
    }
    static bool summarise(SchedulerThread& thread) {
        Entry& entry = thread.policy<Entry>();
        uint64_t least = entry.value;
        for (SchedulerThread* child : {entry.node.left, entry.node.right})
            if (child != nullptr) least = std::min(least, child->policy<Entry>().least);
        const bool changed = least != entry.least;
        entry.least = least;
        return changed;
    }
};
using Tree = scheduling::ThreadTree<ByKey>;

size_t depth(const SchedulerThread* thread) {
    if (thread == nullptr) return 0;
    const scheduling::TreeNode& node = ByKey::node(*thread);
    return 1 + std::max(depth(node.left), depth(node.right));
}

TEST(ThreadTree, IsInOrderAndWholeAfterAnyInsertionsAndRemovals) {
    conformance::Random random(3);
    std::vector<SchedulerThread> threads(200);
    std::vector<SchedulerThread*> model;  // by key, and by arrival among equals
    Tree tree{};
    for (uint32_t i = 0; i < threads.size(); ++i) threads[i].id = ThreadId(i + 1);
    for (int step = 0; step < 20'000; ++step) {
        SchedulerThread& thread = threads[random.below(200)];
        Entry& entry = thread.policy<Entry>();
        if (entry.queued) {
            tree.remove(thread);
            model.erase(std::find(model.begin(), model.end(), &thread));
        } else {
            entry.key = random.below(50);
            entry.value = random.below(1000);
            tree.insert(thread);
            model.insert(std::upper_bound(model.begin(), model.end(), &thread,
                                          [](auto* a, auto* b) { return ByKey::before(*a, *b); }),
                         &thread);
        }
        entry.queued = !entry.queued;
        if (step % 10 != 0) continue;
        SchedulerThread* at = tree.first();
        uint64_t least = UINT64_MAX;
        for (SchedulerThread* expected : model) {
            ASSERT_EQ(at, expected) << "step " << step;
            ASSERT_TRUE(tree.holds(*at));
            least = std::min(least, at->policy<Entry>().value);
            at = Tree::next(*at);
        }
        ASSERT_EQ(at, nullptr);
        if (tree.root() != nullptr) ASSERT_EQ(tree.root()->policy<Entry>().least, least);
    }
}

TEST(ThreadTree, IsNotDeepThoughAllComeInOrder) {
    std::vector<SchedulerThread> threads(10'000);
    Tree tree{};
    for (uint32_t i = 0; i < threads.size(); ++i) {
        threads[i].id = ThreadId(i + 1);
        threads[i].policy<Entry>().key = i;
        tree.insert(threads[i]);
    }
    EXPECT_LE(depth(tree.root()), 40u);  // 14 at best
}

TEST(ThreadTree, FindsABrokenLinkAndAWrongOrder) {
    std::vector<SchedulerThread> threads(50);
    Tree tree{};
    for (uint32_t i = 0; i < threads.size(); ++i) {
        threads[i].id = ThreadId(i + 1);
        threads[i].policy<Entry>().key = i;
        tree.insert(threads[i]);
    }
    SchedulerThread& parent = *tree.root();
    SchedulerThread& child =
        ByKey::node(parent).left != nullptr ? *ByKey::node(parent).left : *ByKey::node(parent).right;
    EXPECT_TRUE(tree.holds(parent));
    parent.policy<Entry>().key += 1000 * (ByKey::node(parent).right != nullptr);
    EXPECT_FALSE(ByKey::node(parent).right != nullptr && tree.holds(parent));
    ByKey::node(child).parent = &child;
    EXPECT_FALSE(tree.holds(parent));
    EXPECT_FALSE(tree.holds(child));
}

}  // namespace

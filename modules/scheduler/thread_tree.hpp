// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Threads of one CPU in an order, as a treap: a search tree by `Order`, and a heap by a number drawn from each id.
//
// After Aragon and Seidel, "Randomized Search Trees" (FOCS 1989): the expected depth is logarithmic, whatever the order
// of insertion, and no balance needs to be kept. Each node may also carry a summary of its subtree. Lives in
// SchedulerCpu::area and links threads through SchedulerThread::area; all zero is a valid empty tree. The lock of the
// CPU guards everything here. Nothing allocates, nothing recurses.
#pragma once

#include "helix/interfaces/scheduler.hpp"

namespace helix::scheduling {

struct TreeNode {
    SchedulerThread* left;
    SchedulerThread* right;
    SchedulerThread* parent;
};

/// `Order` has
///     static TreeNode& node(SchedulerThread&), and the same for const
///     static bool before(const SchedulerThread&, const SchedulerThread&)   fixed while both are in the tree
///     static bool summarise(SchedulerThread&)   from its own values and its children's summaries; true if it changed
template <typename Order>
class ThreadTree {
public:
    bool empty() const { return root_ == nullptr; }
    SchedulerThread* root() const { return root_; }

    /// `thread` is in no tree. Behind those to which it is equal.
    void insert(SchedulerThread& thread) {
        SchedulerThread* parent = nullptr;
        SchedulerThread** link = &root_;
        while (*link != nullptr) {
            parent = *link;
            TreeNode& node = Order::node(*parent);
            link = Order::before(thread, *parent) ? &node.left : &node.right;
        }
        *link = &thread;
        Order::node(thread) = {nullptr, nullptr, parent};
        (void)Order::summarise(thread);
        summarise_from(parent);
        while (parent != nullptr && rank_of(thread) > rank_of(*parent)) {
            rotate_up(thread);
            parent = Order::node(thread).parent;
        }
    }

    /// `thread` is in this tree.
    void remove(SchedulerThread& thread) {
        TreeNode& node = Order::node(thread);
        while (node.left != nullptr || node.right != nullptr) {
            const bool left =
                node.right == nullptr || (node.left != nullptr && rank_of(*node.left) > rank_of(*node.right));
            rotate_up(left ? *node.left : *node.right);
        }
        link_to(thread) = nullptr;
        summarise_from(node.parent);
        node = {};
    }

    /// The first in order; null when empty.
    SchedulerThread* first() const {
        SchedulerThread* thread = root_;
        while (thread != nullptr && Order::node(*thread).left != nullptr) thread = Order::node(*thread).left;
        return thread;
    }
    /// The one behind `thread`; null when it is the last.
    static SchedulerThread* next(SchedulerThread& thread) {
        SchedulerThread* at = Order::node(thread).right;
        if (at != nullptr) {
            while (Order::node(*at).left != nullptr) at = Order::node(*at).left;
            return at;
        }
        at = &thread;
        SchedulerThread* parent = Order::node(thread).parent;
        while (parent != nullptr && Order::node(*parent).right == at) {
            at = parent;
            parent = Order::node(*at).parent;
        }
        return parent;
    }

    /// True if `thread`, its parent and its children agree about their links, order and ranks.
    bool holds(const SchedulerThread& thread) const {
        const TreeNode& node = Order::node(thread);
        if (node.parent == nullptr) {
            if (root_ != &thread) return false;
        } else {
            const TreeNode& above = Order::node(*node.parent);
            if ((above.left == &thread) == (above.right == &thread)) return false;
            if (rank_of(*node.parent) < rank_of(thread)) return false;
        }
        if (node.left != nullptr && (Order::node(*node.left).parent != &thread || Order::before(thread, *node.left)))
            return false;
        return node.right == nullptr ||
               (Order::node(*node.right).parent == &thread && !Order::before(*node.right, thread));
    }

private:
    /// Splitmix's last step, after Steele, Lea and Flood (OOPSLA 2014): ids come in order, ranks may not.
    static uint64_t rank_of(const SchedulerThread& thread) {
        uint64_t z = static_cast<uint64_t>(thread.id) * 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        return z ^ (z >> 27);
    }
    SchedulerThread*& link_to(SchedulerThread& thread) {
        SchedulerThread* const parent = Order::node(thread).parent;
        if (parent == nullptr) return root_;
        TreeNode& node = Order::node(*parent);
        return node.left == &thread ? node.left : node.right;
    }
    /// Up to the root, or to the first whose summary stays as it is.
    static void summarise_from(SchedulerThread* thread) {
        while (thread != nullptr && Order::summarise(*thread)) thread = Order::node(*thread).parent;
    }
    /// `child` and its parent change places; what is below the two stays in order.
    void rotate_up(SchedulerThread& child) {
        SchedulerThread& parent = *Order::node(child).parent;
        TreeNode& lower = Order::node(child);
        TreeNode& upper = Order::node(parent);
        link_to(parent) = &child;
        lower.parent = upper.parent;
        SchedulerThread*& inner = upper.left == &child ? lower.right : lower.left;
        SchedulerThread*& outer = upper.left == &child ? upper.left : upper.right;
        outer = inner;
        if (inner != nullptr) Order::node(*inner).parent = &parent;
        inner = &parent;
        upper.parent = &child;
        (void)Order::summarise(parent);
        (void)Order::summarise(child);
    }

    SchedulerThread* root_;
};

}  // namespace helix::scheduling

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// VirtualRegion: reservations in a binary tree of bytes.

#include "kernel/memory/virtual_region.hpp"

#include "kernel/memory/failure_injection.hpp"
#include "kernel/panic.hpp"

namespace helix::kernel {

namespace {

/// A complete binary tree in an array: node 1 is the root, 2n and 2n+1 are the halves of n. `height` is the root's
/// distance from the leaves, `leaf_order` the order in pages of a leaf.
struct Tree {
    uint8_t* nodes;
    unsigned height;
    unsigned leaf_order;

    unsigned order_of(size_t node) const {
        return leaf_order + height - (63 - static_cast<unsigned>(__builtin_clzll(node)));
    }
    size_t first_leaf() const { return size_t{1} << height; }
    uint8_t whole(size_t node) const { return static_cast<uint8_t>(order_of(node) + 1); }
    bool is_leaf(size_t node) const { return node >= first_leaf(); }
    /// Reserved as one: nothing is free in it, yet nothing was ever taken out of its halves.
    bool is_reserved(size_t node) const {
        return nodes[node] == 0 && (is_leaf(node) || nodes[2 * node] == whole(2 * node));
    }

    /// All free.
    void fill() {
        for (unsigned depth = 0; depth <= height; ++depth)
            __builtin_memset(nodes + (size_t{1} << depth), static_cast<int>(leaf_order + height - depth + 1),
                             size_t{1} << depth);
    }
    /// The node of 2^order pages to reserve, preferring halves in which less is free; zero when there is none. A leaf
    /// larger than asked for is returned as it is.
    size_t choose(unsigned order) const {
        const uint8_t wanted = static_cast<uint8_t>(order + 1);
        if (nodes[1] < wanted) return 0;
        size_t node = 1;
        while (!is_leaf(node) && order_of(node) > order) {
            const size_t left = 2 * node;
            const size_t right = left + 1;
            const bool take_right = nodes[right] >= wanted && (nodes[left] < wanted || nodes[right] < nodes[left]);
            node = take_right ? right : left;
        }
        return node;
    }
    /// Sets what is free in `node` and carries it up to the root.
    void set(size_t node, uint8_t largest) {
        nodes[node] = largest;
        while (node > 1) {
            node /= 2;
            const uint8_t left = nodes[2 * node];
            const uint8_t right = nodes[2 * node + 1];
            const uint8_t whole_half = whole(2 * node);
            nodes[node] = left == whole_half && right == whole_half ? whole(node) : left > right ? left : right;
        }
    }
    size_t node_at(size_t leaf, unsigned order) const { return (first_leaf() + leaf) >> (order - leaf_order); }
    size_t leaf_of(size_t node) const { return (node << (order_of(node) - leaf_order)) - first_leaf(); }
    /// The reserved node above or at `leaf`; zero when there is none.
    size_t find_reserved(size_t leaf) const {
        // From the top: below a reserved node everything looks free.
        for (unsigned up = height + 1; up-- > 0;) {
            const size_t node = (first_leaf() + leaf) >> up;
            if (is_reserved(node)) return node;
        }
        return 0;
    }
};

constexpr unsigned order_for(size_t pages) {
    return pages <= 1 ? 0 : 64 - static_cast<unsigned>(__builtin_clzll(pages - 1));
}

}  // namespace

Result<void> VirtualRegion::init(arch::VirtualRange range, PageAllocator& pages) {
    constexpr uint64_t kArenaBytes = kArenaPages * kPageSize;
    constexpr uint64_t kGigabyte = uint64_t{1} << 30;
    uint64_t limit = 4 * pages.total_pages() * kPageSize;
    if (limit < 4 * kGigabyte) limit = 4 * kGigabyte;
    if (limit > 256 * kGigabyte) limit = 256 * kGigabyte;

    // Arenas start at multiples of their size, and so does the whole tree relative to begin_.
    const uint64_t begin = (range.begin + kArenaBytes - 1) / kArenaBytes * kArenaBytes;
    const uint64_t end = range.end / kArenaBytes * kArenaBytes;
    if (end <= begin) return Error(ErrorCode::InvalidArgument, "the region for mappings is smaller than 4 MiB");
    const uint64_t bytes = end - begin < limit ? end - begin : limit;
    const size_t arenas = bytes / kArenaBytes;
    const unsigned height = order_for(arenas);
    const size_t leaves = size_t{1} << height;

    const size_t record_bytes = 2 * leaves + 2 * leaves * sizeof(uint32_t);
    const size_t record_pages = (record_bytes + kPageSize - 1) / kPageSize;
    void* const records = arch::direct_map(TRY(pages.allocate(record_pages)));

    SpinLockGuard guard(lock_);
    pages_ = &pages;
    begin_ = begin;
    arena_count_ = arenas;
    height_ = height;
    record_pages_ = record_pages;
    notes_ = static_cast<uint32_t*>(records);
    frames_ = notes_ + leaves;
    nodes_ = reinterpret_cast<uint8_t*>(frames_ + leaves);
    __builtin_memset(frames_, 0, leaves * sizeof(uint32_t));
    Tree tree{nodes_, height_, kArenaOrder};
    tree.fill();
    // The leaves that stand for no arena are taken for good; each step takes the largest block of them.
    for (size_t leaf = arenas; leaf < leaves;) {
        const unsigned order = static_cast<unsigned>(__builtin_ctzll(leaf));
        tree.set(tree.node_at(leaf, kArenaOrder + order), 0);
        leaf += size_t{1} << order;
    }
    return {};
}

VirtualRegion::Arena* VirtualRegion::arena(size_t index) {
    if (frames_[index] == 0) return nullptr;
    return static_cast<Arena*>(arch::direct_map(uint64_t{frames_[index]} * kPageSize));
}

Result<void*> VirtualRegion::reserve(size_t pages) {
    if (pages == 0) return Error(ErrorCode::InvalidArgument, "no pages asked for");
    const unsigned order = order_for(pages);
    if (order >= kArenaOrder + height_ + 1 || fails_on_purpose(Attempt::Mapping)) return ErrorCode::OutOfMemory;

    SpinLockGuard guard(lock_);
    Tree top{nodes_, height_, kArenaOrder};
    const size_t top_node = top.choose(order);
    if (top_node == 0) return ErrorCode::OutOfMemory;
    const size_t index = top.leaf_of(top_node);
    uint64_t page = index * kArenaPages;
    if (order >= kArenaOrder) {
        top.set(top_node, 0);
    } else {
        Arena* record = arena(index);
        if (record == nullptr) {
            const arch::PhysicalAddress frames = TRY(pages_->allocate(kArenaRecordPages));
            frames_[index] = static_cast<uint32_t>(frames / kPageSize);
            __atomic_store_n(&record_pages_, record_pages_ + kArenaRecordPages, __ATOMIC_RELAXED);
            record = arena(index);
            Tree{record->nodes, kArenaOrder, 0}.fill();
        }
        Tree tree{record->nodes, kArenaOrder, 0};
        const size_t node = tree.choose(order);
        page += tree.leaf_of(node);
        tree.set(node, 0);
        top.set(top_node, record->nodes[1]);
    }
    __atomic_store_n(&reserved_pages_, reserved_pages_ + (size_t{1} << order), __ATOMIC_RELAXED);
    return address_of(page);
}

void VirtualRegion::release(void* address, size_t pages) {
    const unsigned order = order_for(pages);
    const uint64_t page = page_of(address);
    bool reserved = contains(address) && pages != 0 && reinterpret_cast<uint64_t>(address) % kPageSize == 0 &&
                    order <= kArenaOrder + height_ && page % (uint64_t{1} << order) == 0;
    if (reserved) {
        SpinLockGuard guard(lock_);
        Tree top{nodes_, height_, kArenaOrder};
        const size_t index = page / kArenaPages;
        Arena* record = arena(index);
        if (order >= kArenaOrder) {
            const size_t node = top.node_at(index, order);
            reserved = record == nullptr && top.find_reserved(index) == node;
            if (reserved) top.set(node, top.whole(node));
        } else if (record == nullptr) {
            reserved = false;
        } else {
            Tree tree{record->nodes, kArenaOrder, 0};
            const size_t node = tree.node_at(page % kArenaPages, order);
            reserved = tree.find_reserved(page % kArenaPages) == node;
            if (reserved) {
                tree.set(node, tree.whole(node));
                const uint8_t largest = record->nodes[1];
                if (largest == tree.whole(1)) {
                    pages_->free(uint64_t{frames_[index]} * kPageSize, kArenaRecordPages);
                    frames_[index] = 0;
                    __atomic_store_n(&record_pages_, record_pages_ - kArenaRecordPages, __ATOMIC_RELAXED);
                }
                top.set(top.node_at(index, kArenaOrder), largest);
            }
        }
        if (reserved) __atomic_store_n(&reserved_pages_, reserved_pages_ - (size_t{1} << order), __ATOMIC_RELAXED);
    }
    if (!reserved) panic("VirtualRegion: released what is not reserved");
}

VirtualRegion::Reservation VirtualRegion::find(const void* address) {
    if (!contains(address)) return {nullptr, 0};
    const uint64_t page = page_of(address);
    const size_t index = page / kArenaPages;
    SpinLockGuard guard(lock_);
    if (Arena* record = arena(index)) {
        const Tree tree{record->nodes, kArenaOrder, 0};
        const size_t node = tree.find_reserved(page % kArenaPages);
        if (node == 0) return {nullptr, 0};
        return {address_of(index * kArenaPages + tree.leaf_of(node)), size_t{1} << tree.order_of(node)};
    }
    const Tree top{nodes_, height_, kArenaOrder};
    const size_t node = top.find_reserved(index);
    if (node == 0) return {nullptr, 0};
    return {address_of(top.leaf_of(node) * kArenaPages), size_t{1} << top.order_of(node)};
}

void VirtualRegion::set_note(const void* address, uint32_t note) {
    const uint64_t page = page_of(address);
    SpinLockGuard guard(lock_);
    if (Arena* record = arena(page / kArenaPages))
        record->notes[page % kArenaPages] = note;
    else
        notes_[page / kArenaPages] = note;
}

uint32_t VirtualRegion::note(const void* address) {
    const uint64_t page = page_of(address);
    SpinLockGuard guard(lock_);
    if (Arena* record = arena(page / kArenaPages)) return record->notes[page % kArenaPages];
    return notes_[page / kArenaPages];
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// VirtualRegion: address space for the kernel's own mappings, as a buddy system over a binary tree.
//
// Every aligned block of 2^k pages is a node of a complete binary tree, and a node is one byte: the order of the
// largest free block within it, plus one; zero when there is none. A reservation is a node that says zero although
// its children were never touched. The tree is cut at arenas of 4 MiB: an arena's part exists only while something
// smaller than an arena is reserved in it. So an operation takes at most about 30 steps, blocks merge as soon as
// both halves are free, and the records shrink with the reservations.
#pragma once

#include "kernel/memory/page_allocator.hpp"
#include "kernel/thread/locked.hpp"

namespace helix::kernel {

/// The port's translation tables, of which it wants one caller at a time.
class PageTables {
public:
    Result<void> map(void* at, arch::PhysicalAddress address, size_t count, arch::Protection protection) {
        return arch::map(at, address, count, protection);
    }
    void unmap(void* at, size_t count) { arch::unmap(at, count); }
};

/// Any thread may call, with preemption on or off; nothing here blocks. Takes locks of rank Region and later.
class VirtualRegion {
public:
    constexpr VirtualRegion() = default;
    VirtualRegion(const VirtualRegion&) = delete;
    VirtualRegion& operator=(const VirtualRegion&) = delete;

    /// Of `range` as much is used as the memory of the machine can fill four times, at least 4 GiB, at most 256 GiB;
    /// that needs 10 KiB for every 4 GiB. Once. Errors: OutOfMemory; InvalidArgument when the range is too small.
    Result<void> init(arch::VirtualRange range, PageAllocator& pages);

    /// Addresses for `pages` pages, aligned to the next power of two of their number (at most 4 MiB); up to half of the
    /// space lies unused behind them. Nothing is mapped. Errors: OutOfMemory; InvalidArgument for none.
    Result<void*> reserve(size_t pages);
    /// Gives back what reserve(pages) returned; nothing is mapped there any more. Panics on anything else.
    void release(void* address, size_t pages);

    /// The start of the reservation in which `address` lies, and its size in pages; null when it lies in none.
    struct Reservation {
        void* start;
        size_t pages;  ///< rounded up to a power of two
    };
    Reservation find(const void* address);

    /// One number for a page inside a reservation, unspecified at first. In reservations of an arena and more, all
    /// pages of an arena share one. The reservation's owner may call.
    void set_note(const void* address, uint32_t note);
    uint32_t note(const void* address);

    bool contains(const void* address) const {
        const auto value = reinterpret_cast<uint64_t>(address);
        return value >= begin_ && value < begin_ + arena_count_ * kArenaPages * kPageSize;
    }
    /// Pages inside reservations, each rounded up to a power of two; pages that the records take.
    size_t reserved_pages() const HELIX_READS_UNLOCKED { return __atomic_load_n(&reserved_pages_, __ATOMIC_RELAXED); }
    size_t record_pages() const HELIX_READS_UNLOCKED { return __atomic_load_n(&record_pages_, __ATOMIC_RELAXED); }

    Locked<PageTables, SpinLock>& page_tables() HELIX_RETURN_CAPABILITY(page_tables_) { return page_tables_; }

private:
    static constexpr unsigned kArenaOrder = 10;
    static constexpr size_t kArenaPages = size_t{1} << kArenaOrder;

    struct Arena {
        uint8_t nodes[2 * kArenaPages];
        uint32_t notes[kArenaPages];
    };
    static constexpr size_t kArenaRecordPages = (sizeof(Arena) + kPageSize - 1) / kPageSize;

    Arena* arena(size_t index) HELIX_REQUIRES(lock_);
    uint64_t page_of(const void* address) const { return (reinterpret_cast<uint64_t>(address) - begin_) / kPageSize; }
    void* address_of(uint64_t page) const { return reinterpret_cast<void*>(begin_ + page * kPageSize); }

    Locked<PageTables, SpinLock> page_tables_ HELIX_RANK(Mapping);
    SpinLock lock_ HELIX_RANK(Region);
    uint8_t* nodes_ HELIX_PT_GUARDED_BY(lock_) = nullptr;    ///< the tree above and including whole arenas
    uint32_t* notes_ HELIX_PT_GUARDED_BY(lock_) = nullptr;   ///< for each arena
    uint32_t* frames_ HELIX_PT_GUARDED_BY(lock_) = nullptr;  ///< for each arena: the first frame of its record, or 0
    size_t reserved_pages_ HELIX_GUARDED_BY(lock_) = 0;
    size_t record_pages_ HELIX_GUARDED_BY(lock_) = 0;
    // Fixed after init.
    PageAllocator* pages_ = nullptr;
    uint64_t begin_ = 0;
    size_t arena_count_ = 0;
    unsigned height_ = 0;  ///< the tree of arenas has 2^height_ leaves
};

}  // namespace helix::kernel

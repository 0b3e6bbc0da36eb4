// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// PageAllocator: all page frames of the machine, as a binary buddy system.
//
// After Knuth, "The Art of Computer Programming" 1, 2.5. A free block of 2^k pages starts at a multiple of its size;
// its two list links lie in its own first page. Each range of memory begins with one PageInfo for each of its frames.
// Only the PageInfo of an allocated frame or of the first frame of a block ever split off is read, and those have
// been written: so nothing is cleared at start, and starting costs the same for every size of memory.
#pragma once

#include "arch/seam.hpp"
#include "helix/interfaces/allocator.hpp"
#include "kernel/thread/spin_lock.hpp"

namespace helix::kernel {

inline constexpr uint8_t kNoSizeClass = 255;  ///< the frame does not belong to the heap
inline constexpr uint8_t kLargeBlock = 254;   ///< the frame begins or continues a heap block of whole pages

/// Whom an allocated frame serves.
struct PageTag {
    uint8_t owner = 0;
    uint8_t size_class = kNoSizeClass;
};

struct PageInfo {
    enum class State : uint8_t { Allocated = 0xa5, FreeHead = 0xf1, FreeInside = 0xf2 };

    State state;         ///< the allocator's
    uint8_t order;       ///< the allocator's: of the free block that starts here
    uint8_t owner;       ///< of an allocated frame: the heap policy that it serves
    uint8_t size_class;  ///< of an allocated frame: an index of kSizeClasses, kLargeBlock or kNoSizeClass
    uint32_t value;      ///< of an allocated frame: for whoever allocated it; zero at first
};
static_assert(sizeof(PageInfo) == 8);

/// Any thread may call, with preemption on or off; nothing here blocks. Takes locks of rank Pages only.
class PageAllocator {
public:
    static constexpr size_t kMaximumZones = 32;
    static constexpr unsigned kOrders = 25;  ///< blocks of 2^0 to 2^24 pages (64 GiB)

    constexpr PageAllocator() = default;
    PageAllocator(const PageAllocator&) = delete;
    PageAllocator& operator=(const PageAllocator&) = delete;

    /// Takes over `ranges`, which may touch or overlap; frame 0 is never handed out. Of more than kMaximumZones
    /// separate ranges the largest are used. Once. Errors: OutOfMemory when not one page is left to hand out.
    Result<void> init(Span<const arch::MemoryRange> ranges);

    /// `pages` contiguous frames, of unspecified content, aligned to the next power of two of their number.
    /// Errors: OutOfMemory; InvalidArgument for none.
    Result<arch::PhysicalAddress> allocate(size_t pages, PageTag tag = {});
    /// Gives back frames that allocate returned, all of a run or any part of it. Panics if one is free already.
    void free(arch::PhysicalAddress address, size_t pages);
    /// The same for frames that must be allocated and tagged with `owner` and a class of the heap; false, and
    /// nothing is freed, if one is not.
    bool free_owned(arch::PhysicalAddress address, size_t pages, uint8_t owner);
    /// Frees every frame that serves heap policy `owner`, and returns how many. Nobody may use them any more. Walks
    /// all allocated frames with preemption off: rare.
    size_t free_all_owned(uint8_t owner);

    /// Frames that can be handed out at all, and that are free now.
    size_t total_pages() const { return total_pages_; }
    size_t free_pages() const HELIX_READS_UNLOCKED { return __atomic_load_n(&free_pages_, __ATOMIC_RELAXED); }

    /// The record of the frame at `address`; panics if there is none. Whoever allocated the frame may use it.
    PageInfo& info(arch::PhysicalAddress address);
    /// The same, null if there is none.
    PageInfo* find_info(arch::PhysicalAddress address);

    /// Walks all blocks and lists with preemption off; false if they are not consistent. For tests.
    bool self_check();

private:
    /// One contiguous run of frames: `infos` describes [first, end), and the frames below `usable` hold it.
    struct Zone {
        uint64_t first;
        uint64_t usable;
        uint64_t end;
        PageInfo* infos;

        PageInfo& at(uint64_t frame) const { return infos[frame - first]; }
    };
    struct FreeBlock {
        FreeBlock* next;
        FreeBlock* previous;
    };

    const Zone* find_zone(uint64_t frame) const;
    void link(const Zone& zone, uint64_t frame, unsigned order) HELIX_REQUIRES(lock_);
    void unlink(FreeBlock* block, unsigned order) HELIX_REQUIRES(lock_);
    void insert(const Zone& zone, uint64_t frame, unsigned order) HELIX_REQUIRES(lock_);
    void insert_run(const Zone& zone, uint64_t frame, uint64_t pages) HELIX_REQUIRES(lock_);

    SpinLock lock_ HELIX_RANK(Pages);
    FreeBlock* free_[kOrders] HELIX_GUARDED_BY(lock_) = {};
    uint32_t orders_with_blocks_ HELIX_GUARDED_BY(lock_) = 0;  ///< bit k: free_[k] is not empty
    size_t free_pages_ HELIX_GUARDED_BY(lock_) = 0;
    // Fixed after init; largest first, so that the first look nearly always hits.
    Zone zones_[kMaximumZones] = {};
    size_t zone_count_ = 0;
    size_t total_pages_ = 0;
};

}  // namespace helix::kernel

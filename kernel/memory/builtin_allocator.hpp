// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The heap's own small policy: a list of free blocks for each size class. It serves before any module does, and when
// one cannot. Blocks are used again; pages stay with their class.
#pragma once

#include "kernel/memory/page_allocator.hpp"

namespace helix::kernel {

/// Any thread may call. Takes locks of rank Heap and Pages.
class BuiltinAllocator final : public Allocator {
public:
    constexpr BuiltinAllocator() = default;
    void init(PageAllocator& pages) { pages_ = &pages; }

    size_t refill(uint32_t size_class, Span<void*> blocks) override;
    void drain(uint32_t size_class, Span<void* const> blocks) override;
    AllocatorStatistics statistics() const override;
    bool self_check() const override;

private:
    struct FreeBlock {
        FreeBlock* next;
    };
    struct Class {
        FreeBlock* free = nullptr;
        uint64_t free_count = 0;
        uint64_t pages = 0;
    };

    PageAllocator* pages_ = nullptr;
    mutable SpinLock lock_ HELIX_RANK(Heap);
    Class classes_[kSizeClassCount] HELIX_GUARDED_BY(lock_);
    uint64_t in_use_ HELIX_GUARDED_BY(lock_) = 0;
    uint64_t refills_ HELIX_GUARDED_BY(lock_) = 0;
    uint64_t drains_ HELIX_GUARDED_BY(lock_) = 0;
};

}  // namespace helix::kernel

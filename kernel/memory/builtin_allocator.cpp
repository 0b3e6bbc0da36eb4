// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The heap's own small policy.

#include "kernel/memory/builtin_allocator.hpp"

namespace helix::kernel {

size_t BuiltinAllocator::refill(uint32_t size_class, Span<void*> blocks) {
    SpinLockGuard guard(lock_);
    Class& own = classes_[size_class];
    size_t count = 0;
    while (count < blocks.size()) {
        if (own.free == nullptr) {
            auto page = pages_->allocate(1, {0, static_cast<uint8_t>(size_class)});
            if (!page.ok()) break;
            auto* const start = static_cast<uint8_t*>(arch::direct_map(page.value()));
            const size_t size = kSizeClasses[size_class];
            for (size_t block = kPageSize / size; block-- > 0;) {
                auto* const free = reinterpret_cast<FreeBlock*>(start + block * size);
                free->next = own.free;
                own.free = free;
                ++own.free_count;
            }
            ++own.pages;
        }
        blocks[count++] = own.free;
        own.free = own.free->next;
        --own.free_count;
    }
    in_use_ += count;
    ++refills_;
    return count;
}

void BuiltinAllocator::drain(uint32_t size_class, Span<void* const> blocks) {
    SpinLockGuard guard(lock_);
    Class& own = classes_[size_class];
    for (void* block : blocks) {
        auto* const free = static_cast<FreeBlock*>(block);
        free->next = own.free;
        own.free = free;
    }
    own.free_count += blocks.size();
    in_use_ -= blocks.size();
    ++drains_;
}

AllocatorStatistics BuiltinAllocator::statistics() const {
    SpinLockGuard guard(lock_);
    AllocatorStatistics out{0, 0, in_use_, refills_, drains_};
    for (const Class& each : classes_) {
        out.pages += each.pages;
        out.blocks_free += each.free_count;
    }
    return out;
}

bool BuiltinAllocator::self_check() const {
    SpinLockGuard guard(lock_);
    uint64_t blocks = 0;
    for (uint32_t i = 0; i < kSizeClassCount; ++i) {
        uint64_t listed = 0;
        for (const FreeBlock* block = classes_[i].free; block != nullptr; block = block->next) {
            const PageInfo* info = pages_->find_info(arch::physical_of(block));
            if (info == nullptr || info->owner != 0 || info->size_class != i) return false;
            if (++listed > classes_[i].free_count) return false;
        }
        if (listed != classes_[i].free_count) return false;
        blocks += classes_[i].pages * (kPageSize / kSizeClasses[i]) - listed;
    }
    return blocks == in_use_;
}

}  // namespace helix::kernel

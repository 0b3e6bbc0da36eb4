// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// PageAllocator: the binary buddy system.

#include "kernel/memory/page_allocator.hpp"

#include "kernel/memory/failure_injection.hpp"
#include "kernel/panic.hpp"

namespace helix::kernel {

namespace {

constexpr uint64_t frame_of(arch::PhysicalAddress address) {
    return address / kPageSize;
}
constexpr arch::PhysicalAddress address_of(uint64_t frame) {
    return frame * kPageSize;
}

/// The smallest k with 2^k >= pages.
constexpr unsigned order_for(size_t pages) {
    return pages <= 1 ? 0 : 64 - static_cast<unsigned>(__builtin_clzll(pages - 1));
}

/// The order of the largest block that may start at `frame` and end at or before `end`.
constexpr unsigned largest_order_at(uint64_t frame, uint64_t end) {
    const unsigned by_size = 63 - static_cast<unsigned>(__builtin_clzll(end - frame));
    const unsigned by_alignment = frame == 0 ? 63 : static_cast<unsigned>(__builtin_ctzll(frame));
    const unsigned order = by_size < by_alignment ? by_size : by_alignment;
    return order < PageAllocator::kOrders ? order : PageAllocator::kOrders - 1;
}

}  // namespace

Result<void> PageAllocator::init(Span<const arch::MemoryRange> ranges) {
    auto size_of = [](const Zone& zone) { return zone.end - zone.first; };
    // Collects disjoint runs of frames in zones_; a run that touches earlier ones swallows them.
    for (const arch::MemoryRange& range : ranges) {
        uint64_t first = frame_of(range.begin + kPageSize - 1);
        uint64_t end = frame_of(range.end);
        if (first == 0) first = 1;
        if (end <= first) continue;
        for (size_t i = 0; i < zone_count_;) {
            const Zone& zone = zones_[i];
            if (zone.first <= end && first <= zone.end) {
                if (zone.first < first) first = zone.first;
                if (zone.end > end) end = zone.end;
                zones_[i] = zones_[--zone_count_];
                i = 0;  // the run grew: look at all others again
            } else {
                ++i;
            }
        }
        if (zone_count_ == kMaximumZones) {
            size_t smallest = 0;
            for (size_t i = 1; i < zone_count_; ++i)
                if (size_of(zones_[i]) < size_of(zones_[smallest])) smallest = i;
            if (size_of(zones_[smallest]) >= end - first) continue;
            zones_[smallest] = zones_[--zone_count_];
        }
        zones_[zone_count_++] = {first, 0, end, nullptr};
    }
    for (size_t i = 1; i < zone_count_; ++i)
        for (size_t j = i; j > 0 && size_of(zones_[j - 1]) < size_of(zones_[j]); --j) {
            const Zone smaller = zones_[j - 1];
            zones_[j - 1] = zones_[j];
            zones_[j] = smaller;
        }

    SpinLockGuard guard(lock_);
    size_t kept = 0;
    for (size_t i = 0; i < zone_count_; ++i) {
        Zone zone = zones_[i];
        const uint64_t info_bytes = (zone.end - zone.first) * sizeof(PageInfo);
        zone.usable = zone.first + (info_bytes + kPageSize - 1) / kPageSize;
        if (zone.usable >= zone.end) continue;
        zone.infos = static_cast<PageInfo*>(arch::direct_map(address_of(zone.first)));
        // Largest possible blocks from the start on: each is a neighbour's buddy only if it could not be merged.
        for (uint64_t frame = zone.usable; frame < zone.end;) {
            const unsigned order = largest_order_at(frame, zone.end);
            link(zone, frame, order);
            frame += uint64_t{1} << order;
        }
        total_pages_ += zone.end - zone.usable;
        zones_[kept++] = zone;
    }
    zone_count_ = kept;
    free_pages_ = total_pages_;
    if (total_pages_ == 0) return Error(ErrorCode::OutOfMemory, "no usable memory in the ranges of the machine");
    return {};
}

const PageAllocator::Zone* PageAllocator::find_zone(uint64_t frame) const {
    for (size_t i = 0; i < zone_count_; ++i)
        if (frame >= zones_[i].usable && frame < zones_[i].end) return &zones_[i];
    return nullptr;
}

void PageAllocator::link(const Zone& zone, uint64_t frame, unsigned order) {
    PageInfo& head = zone.at(frame);
    head.state = PageInfo::State::FreeHead;
    head.order = static_cast<uint8_t>(order);
    auto* block = static_cast<FreeBlock*>(arch::direct_map(address_of(frame)));
    block->next = free_[order];
    block->previous = nullptr;
    if (block->next != nullptr) block->next->previous = block;
    free_[order] = block;
    orders_with_blocks_ |= 1u << order;
}

void PageAllocator::unlink(FreeBlock* block, unsigned order) {
    if (block->next != nullptr) block->next->previous = block->previous;
    if (block->previous != nullptr)
        block->previous->next = block->next;
    else
        free_[order] = block->next;
    if (free_[order] == nullptr) orders_with_blocks_ &= ~(1u << order);
}

/// Adds a free block, merged with its buddies as far as they are free.
void PageAllocator::insert(const Zone& zone, uint64_t frame, unsigned order) {
    while (order + 1 < kOrders) {
        const uint64_t size = uint64_t{1} << order;
        const uint64_t buddy = frame ^ size;
        if (buddy < zone.usable || buddy + size > zone.end) break;
        PageInfo& info = zone.at(buddy);
        if (info.state != PageInfo::State::FreeHead || info.order != order) break;
        unlink(static_cast<FreeBlock*>(arch::direct_map(address_of(buddy))), order);
        info.state = PageInfo::State::FreeInside;
        if (buddy < frame) frame = buddy;
        ++order;
    }
    link(zone, frame, order);
}

void PageAllocator::insert_run(const Zone& zone, uint64_t frame, uint64_t pages) {
    for (uint64_t i = 0; i < pages; ++i) zone.at(frame + i).state = PageInfo::State::FreeInside;
    __atomic_store_n(&free_pages_, free_pages_ + pages, __ATOMIC_RELAXED);
    for (const uint64_t end = frame + pages; frame < end;) {
        const unsigned order = largest_order_at(frame, end);
        insert(zone, frame, order);
        frame += uint64_t{1} << order;
    }
}

Result<arch::PhysicalAddress> PageAllocator::allocate(size_t pages, PageTag tag) {
    if (pages == 0) return Error(ErrorCode::InvalidArgument, "no pages asked for");
    const unsigned wanted = order_for(pages);
    if (wanted >= kOrders || fails_on_purpose(Attempt::Allocation)) return ErrorCode::OutOfMemory;

    SpinLockGuard guard(lock_);
    const uint32_t candidates = orders_with_blocks_ >> wanted;
    if (candidates == 0) return ErrorCode::OutOfMemory;
    unsigned order = wanted + static_cast<unsigned>(__builtin_ctz(candidates));
    FreeBlock* block = free_[order];
    unlink(block, order);
    const uint64_t frame = frame_of(arch::physical_of(block));
    const Zone& zone = *find_zone(frame);

    // Halves the block until no half is superfluous, each time keeping the part that is still needed.
    uint64_t at = frame;
    for (uint64_t needed = pages; needed < uint64_t{1} << order;) {
        --order;
        const uint64_t half = uint64_t{1} << order;
        if (needed <= half) {
            link(zone, at + half, order);
        } else {
            at += half;
            needed -= half;
        }
    }
    for (uint64_t i = 0; i < pages; ++i)
        zone.at(frame + i) = {PageInfo::State::Allocated, 0, tag.owner, tag.size_class, 0};
    __atomic_store_n(&free_pages_, free_pages_ - pages, __ATOMIC_RELAXED);
    return address_of(frame);
}

void PageAllocator::free(arch::PhysicalAddress address, size_t pages) {
    const uint64_t frame = frame_of(address);
    const Zone* zone = find_zone(frame);
    if (zone == nullptr || address % kPageSize != 0 || pages == 0 || pages > zone->end - frame)
        panic("PageAllocator: freed an address that is not one of its pages");
    bool allocated = true;
    {
        SpinLockGuard guard(lock_);
        for (uint64_t i = 0; i < pages; ++i)
            allocated = allocated && zone->at(frame + i).state == PageInfo::State::Allocated;
        if (allocated) insert_run(*zone, frame, pages);
    }
    if (!allocated) panic("PageAllocator: a page was freed twice");
}

bool PageAllocator::free_owned(arch::PhysicalAddress address, size_t pages, uint8_t owner) {
    const uint64_t frame = frame_of(address);
    const Zone* zone = find_zone(frame);
    if (zone == nullptr || address % kPageSize != 0 || pages == 0 || pages > zone->end - frame) return false;
    SpinLockGuard guard(lock_);
    for (uint64_t i = 0; i < pages; ++i) {
        const PageInfo& info = zone->at(frame + i);
        if (info.state != PageInfo::State::Allocated || info.owner != owner || info.size_class >= kSizeClassCount)
            return false;
    }
    insert_run(*zone, frame, pages);
    return true;
}

size_t PageAllocator::free_all_owned(uint8_t owner) {
    SpinLockGuard guard(lock_);
    size_t freed = 0;
    for (size_t i = 0; i < zone_count_; ++i) {
        const Zone& zone = zones_[i];
        uint64_t frame = zone.usable;
        while (frame < zone.end) {
            const PageInfo& info = zone.at(frame);
            if (info.state == PageInfo::State::FreeHead) {
                frame += uint64_t{1} << info.order;
                continue;
            }
            uint64_t run = 0;
            while (frame + run < zone.end && zone.at(frame + run).state == PageInfo::State::Allocated &&
                   zone.at(frame + run).owner == owner && zone.at(frame + run).size_class < kSizeClassCount)
                ++run;
            if (run == 0) {
                ++frame;
                continue;
            }
            // The free blocks behind the run may be merged with it and lose their heads: skips them first.
            uint64_t behind = frame + run;
            while (behind < zone.end && zone.at(behind).state == PageInfo::State::FreeHead)
                behind += uint64_t{1} << zone.at(behind).order;
            insert_run(zone, frame, run);
            freed += run;
            frame = behind;
        }
    }
    return freed;
}

PageInfo* PageAllocator::find_info(arch::PhysicalAddress address) {
    const Zone* zone = find_zone(frame_of(address));
    return zone == nullptr ? nullptr : &zone->at(frame_of(address));
}

PageInfo& PageAllocator::info(arch::PhysicalAddress address) {
    PageInfo* info = find_info(address);
    if (info == nullptr) panic("PageAllocator: asked about an address that is not one of its pages");
    return *info;
}

bool PageAllocator::self_check() {
    SpinLockGuard guard(lock_);
    size_t blocks_seen = 0;
    uint64_t free_seen = 0;
    for (size_t i = 0; i < zone_count_; ++i) {
        const Zone& zone = zones_[i];
        for (uint64_t frame = zone.usable; frame < zone.end;) {
            const PageInfo& info = zone.at(frame);
            if (info.state == PageInfo::State::Allocated) {
                ++frame;
                continue;
            }
            const uint64_t size = uint64_t{1} << (info.order % 64);
            if (info.state != PageInfo::State::FreeHead || info.order >= kOrders) return false;
            if (frame % size != 0 || size > zone.end - frame) return false;
            const uint64_t buddy = frame ^ size;
            if (info.order + 1u < kOrders && buddy > frame && buddy + size <= zone.end &&
                zone.at(buddy).state == PageInfo::State::FreeHead && zone.at(buddy).order == info.order)
                return false;  // the two should have been one
            ++blocks_seen;
            free_seen += size;
            frame += size;
        }
    }
    size_t blocks_listed = 0;
    for (unsigned order = 0; order < kOrders; ++order) {
        if ((free_[order] != nullptr) != ((orders_with_blocks_ >> order & 1) != 0)) return false;
        for (const FreeBlock* block = free_[order]; block != nullptr; block = block->next) {
            const uint64_t frame = frame_of(arch::physical_of(block));
            const Zone* zone = find_zone(frame);
            if (zone == nullptr || zone->at(frame).state != PageInfo::State::FreeHead) return false;
            if (zone->at(frame).order != order || ++blocks_listed > blocks_seen) return false;
        }
    }
    return blocks_listed == blocks_seen && free_seen == free_pages_;
}

}  // namespace helix::kernel

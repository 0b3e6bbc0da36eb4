// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Mapped memory: frames, addresses and a mapping in one.

#include "kernel/memory/mapped_memory.hpp"

#include "kernel/memory/failure_injection.hpp"
#include "kernel/panic.hpp"

namespace helix::kernel {

namespace {

/// Pages that are mapped or unmapped under one hold of the mapping lock, with preemption off.
constexpr size_t kPagesPerHold = 256;

uint8_t* at_page(void* start, size_t page) {
    return static_cast<uint8_t*>(start) + page * kPageSize;
}

/// Frees a chain of frames that begins with `frame`, whole runs at once. Returns how many there were.
size_t free_chain(PageAllocator& pages, uint32_t frame) {
    size_t freed = 0;
    while (frame != 0) {
        uint32_t run = 1;
        uint32_t next = pages.info(uint64_t{frame} * kPageSize).value;
        while (next == frame + run) {
            next = pages.info(uint64_t{next} * kPageSize).value;
            ++run;
        }
        pages.free(uint64_t{frame} * kPageSize, run);
        freed += run;
        frame = next;
    }
    return freed;
}

}  // namespace

Result<void> map_frames(Memory& memory, void* at, arch::PhysicalAddress address, size_t pages,
                        arch::Protection protection) {
    for (size_t done = 0; done < pages; done += kPagesPerHold) {
        const size_t count = pages - done < kPagesPerHold ? pages - done : kPagesPerHold;
        Result<void> mapped = [&]() -> Result<void> {
            if (fails_on_purpose(Attempt::Mapping)) return ErrorCode::OutOfMemory;
            const Access tables(memory.region.page_tables());
            return tables->map(at_page(at, done), address + done * kPageSize, count, protection);
        }();
        if (!mapped.ok()) {
            unmap_frames(memory, at, done);
            return mapped;
        }
    }
    return {};
}

void unmap_frames(Memory& memory, void* at, size_t pages) {
    for (size_t done = 0; done < pages; done += kPagesPerHold) {
        const size_t count = pages - done < kPagesPerHold ? pages - done : kPagesPerHold;
        const Access tables(memory.region.page_tables());
        tables->unmap(at_page(at, done), count);
    }
}

Result<void*> map_pages(Memory& memory, size_t pages, size_t guard_pages_below, arch::Protection protection) {
    if (pages == 0) return Error(ErrorCode::InvalidArgument, "no pages asked for");
    size_t reserved = 0;
    if (__builtin_add_overflow(pages, guard_pages_below, &reserved)) return ErrorCode::OutOfMemory;
    // Not even tried when it cannot succeed: the attempt would take all memory for a moment.
    if (pages > memory.pages.free_pages()) return ErrorCode::OutOfMemory;
    void* const start = TRY(memory.region.reserve(reserved));
    void* const address = at_page(start, guard_pages_below);

    uint32_t first_frame = 0;
    uint32_t* link = &first_frame;
    size_t run = pages;
    for (size_t done = 0; done < pages;) {
        if (run > pages - done) run = pages - done;
        auto frames = memory.pages.allocate(run);
        if (!frames.ok() && run > 1) {
            run = (run + 1) / 2;
            continue;
        }
        const Result<void> mapped = [&]() -> Result<void> {
            if (!frames.ok()) return frames.error();
            for (size_t i = 0; i < run; ++i) {
                *link = static_cast<uint32_t>(frames.value() / kPageSize + i);
                link = &memory.pages.info(frames.value() + i * kPageSize).value;
            }
            return map_frames(memory, at_page(address, done), frames.value(), run, protection);
        }();
        if (!mapped.ok()) {
            unmap_frames(memory, address, done);
            free_chain(memory.pages, first_frame);
            memory.region.release(start, reserved);
            return mapped.error();
        }
        done += run;
    }
    memory.region.set_note(address, first_frame);
    return address;
}

void unmap_pages(Memory& memory, void* address) {
    const VirtualRegion::Reservation reservation = memory.region.find(address);
    if (reservation.start == nullptr) panic("unmap_pages: nothing is mapped at this address");
    const uint32_t first_frame = memory.region.note(address);
    size_t pages = 0;
    for (uint32_t frame = first_frame; frame != 0; frame = memory.pages.info(uint64_t{frame} * kPageSize).value)
        ++pages;
    unmap_frames(memory, address, pages);
    free_chain(memory.pages, first_frame);
    memory.region.release(reservation.start, reservation.pages);
}

Result<void> map_at(Memory& memory, void* at, size_t pages) {
    const arch::PhysicalAddress frames = TRY(memory.pages.allocate(pages));
    auto mapped = map_frames(memory, at, frames, pages, arch::Protection::ReadWrite);
    if (!mapped.ok()) memory.pages.free(frames, pages);
    return mapped;
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Runs of page frames: halves what it asks for until the page allocator can give it.

#include "kernel/module/frames.hpp"

#include <new>

#include "kernel/memory/mapped_memory.hpp"

namespace helix::kernel {

Result<void> Frames::allocate(Memory& memory, size_t pages) {
    Run* run = nullptr;
    size_t want = pages;
    while (pages > 0) {
        if (want > pages) want = pages;
        const Result<arch::PhysicalAddress> address = memory.pages.allocate(want);
        if (!address.ok()) {
            if (want > 1) {
                want = (want + 1) / 2;
                continue;
            }
            release(memory);
            return ErrorCode::OutOfMemory;
        }
        Run* next = &first_;
        if (run != nullptr) {
            void* block = memory.heap.allocate(sizeof(Run), alignof(Run));
            if (block == nullptr) {
                memory.pages.free(address.value(), want);
                release(memory);
                return ErrorCode::OutOfMemory;
            }
            next = run->next = new (block) Run;
        }
        run = next;
        run->address = address.value();
        run->pages = want;
        pages -= want;
    }
    return {};
}

void Frames::release(Memory& memory) {
    if (first_.pages > 0) memory.pages.free(first_.address, first_.pages);
    for (Run* run = first_.next; run != nullptr;) {
        Run* const next = run->next;
        memory.pages.free(run->address, run->pages);
        memory.heap.free(run);
        run = next;
    }
    first_ = {};
}

void Frames::fill(size_t lead, Bytes data) {
    for (const Run* run = &first_; run != nullptr; run = run->next) {
        auto* out = static_cast<uint8_t*>(arch::direct_map(run->address));
        const size_t room = run->pages * kPageSize;
        const size_t zeros = lead < room ? lead : room;
        const size_t bytes = data.size() < room - zeros ? data.size() : room - zeros;
        __builtin_memset(out, 0, zeros);
        if (bytes > 0) __builtin_memcpy(out + zeros, data.data(), bytes);
        __builtin_memset(out + zeros + bytes, 0, room - zeros - bytes);
        lead -= zeros;
        data = data.subspan(bytes);
    }
}

uint64_t* Frames::word_at(uint64_t offset) {
    const Run* run = &first_;
    while (offset >= run->pages * kPageSize) {
        offset -= run->pages * kPageSize;
        run = run->next;
    }
    return reinterpret_cast<uint64_t*>(static_cast<uint8_t*>(arch::direct_map(run->address)) + offset);
}

Result<void> Frames::map(Memory& memory, uint8_t* at, arch::Protection protection) const {
    for (const Run* run = &first_; run != nullptr; run = run->next) {
        TRY(map_frames(memory, at, run->address, run->pages, protection));
        at += run->pages * kPageSize;
    }
    return {};
}

}  // namespace helix::kernel

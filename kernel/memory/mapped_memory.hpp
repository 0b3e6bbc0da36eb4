// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Mapped memory: frames, addresses and a mapping in one, for stacks, tables and whatever is larger than the heap's
// blocks. The frames need not be contiguous.
//
// The frames of a mapping are chained through PageInfo::value, in the order of their addresses; the region's note for
// its first page names the first frame. Any thread may call, with preemption on or off; nothing here blocks.
#pragma once

#include "kernel/memory/memory.hpp"
#include "kernel/memory/page_allocator.hpp"
#include "kernel/memory/virtual_region.hpp"

namespace helix::kernel {

/// `pages` pages of unspecified content, with at least `guard_pages_below` pages below them that are never mapped.
/// Errors: OutOfMemory (undone); InvalidArgument for none.
Result<void*> map_pages(Memory& memory, size_t pages, size_t guard_pages_below, arch::Protection protection);
/// Undoes map_pages: `address` is what it returned. Panics on anything else.
void unmap_pages(Memory& memory, void* address);

/// Maps frames of the caller's at addresses that it reserved, and undoes that: arch::map and arch::unmap for one
/// caller at a time, a few hundred pages under each hold of the lock. Errors: OutOfMemory (undone).
Result<void> map_frames(Memory& memory, void* at, arch::PhysicalAddress address, size_t pages,
                        arch::Protection protection);
void unmap_frames(Memory& memory, void* at, size_t pages);

/// Maps `pages` new frames, readable and writable and of unspecified content, at `at`, which lies in a reservation.
/// For tables that grow in place; never unmapped. Errors: OutOfMemory (undone).
Result<void> map_at(Memory& memory, void* at, size_t pages);

}  // namespace helix::kernel

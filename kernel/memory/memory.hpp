// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The memory services of one kernel, handed as one to whatever builds mappings.
#pragma once

#include "kernel/memory/heap.hpp"
#include "kernel/memory/page_allocator.hpp"
#include "kernel/memory/virtual_region.hpp"

namespace helix::kernel {

/// Lives as long as the kernel; each member locks itself.
struct Memory {
    PageAllocator& pages;
    VirtualRegion& region;
    Heap& heap;
};

}  // namespace helix::kernel

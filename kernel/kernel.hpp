// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Kernel: all parts of one running kernel, in the order in which they come up.
#pragma once

#include "arch/seam.hpp"
#include "kernel/console/log.hpp"
#include "kernel/memory/memory.hpp"
#include "kernel/module/module_system.hpp"
#include "kernel/module/profile.hpp"
#include "kernel/thread/threads.hpp"
#include "kernel/trace/trace.hpp"

namespace helix::kernel {

struct Kernel {
    explicit Kernel(const arch::BootInfo& boot_info) : boot(boot_info) {}

    const arch::BootInfo& boot;
    Log log;
    PageAllocator pages;
    VirtualRegion region;
    Heap heap;
    Memory memory{pages, region, heap};
    Profile profile;
    Threads threads{*this};
    Trace trace{*this};
    ModuleSystem modules{*this};
    uint64_t boot_cycles = 0;  ///< from the port's entry to all modules running
};

/// The kernel that the calling CPU belongs to.
inline Kernel& this_kernel() {
    return *static_cast<Kernel*>(cpu_local()->kernel);
}

}  // namespace helix::kernel

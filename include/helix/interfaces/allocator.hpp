// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// helix.allocator: the policy behind the kernel's heap.
//
// The kernel keeps a magazine of free blocks for each CPU and size class, after Bonwick and Adams, "Magazines and
// Vmem" (USENIX 2001); a policy only fills and drains them in batches. It gets whole pages from the kernel
// (Context::heap_pages), which remembers for each page the instance that owns it, so that a free finds its owner
// also after another policy was plugged in. Requests above the largest class never reach a policy.
#pragma once

#include "helix/interface.hpp"

namespace helix {

/// Bytes in a block of each size class; every block is aligned to 16 bytes.
inline constexpr uint32_t kSizeClasses[] = {16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048};
inline constexpr uint32_t kSizeClassCount = sizeof(kSizeClasses) / sizeof(kSizeClasses[0]);
inline constexpr size_t kPageSize = 4096;

struct AllocatorStatistics {
    uint64_t pages;          ///< pages held from the kernel
    uint64_t blocks_free;    ///< blocks that the policy could hand out without another page
    uint64_t blocks_in_use;  ///< blocks handed out and not drained
    uint64_t refills;
    uint64_t drains;
};

class Allocator {
public:
    /// Fills `blocks` with free blocks of class `size_class` and returns how many; fewer when memory is short.
    /// Called on any CPU, at the same time on several.
    virtual size_t refill(uint32_t size_class, Span<void*> blocks) = 0;
    /// Takes back blocks of `size_class` that this instance handed out.
    virtual void drain(uint32_t size_class, Span<void* const> blocks) = 0;
    virtual AllocatorStatistics statistics() const = 0;
    /// Walks the policy's own data; false if they are not consistent.
    virtual bool self_check() const = 0;

protected:
    ~Allocator() = default;
};

template <>
struct InterfaceTraits<Allocator> {
    static constexpr InterfaceId kId{"helix.allocator", 1, 0};
    static constexpr auto kMethods = methods(                                                           //
        MethodEntry<&Allocator::refill>{"refill", MethodTraits::Bounded},                               //
        MethodEntry<&Allocator::drain>{"drain", MethodTraits::Bounded},                                 //
        MethodEntry<&Allocator::statistics>{"statistics", MethodTraits::Bounded | MethodTraits::Pure},  //
        MethodEntry<&Allocator::self_check>{"self_check", MethodTraits::Bounded | MethodTraits::Pure});
};

}  // namespace helix

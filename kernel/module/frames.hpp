// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Page frames for one part of a module: one run if memory allows it, several otherwise.
#pragma once

#include "arch/seam.hpp"
#include "kernel/memory/memory.hpp"

namespace helix::kernel {

/// Owns its frames, but needs `Memory` to give them back: release() before it dies. Not thread-safe by itself.
class Frames {
public:
    /// Gets `pages` frames, with anything in them. Errors: OutOfMemory (undone).
    Result<void> allocate(Memory& memory, size_t pages);
    void release(Memory& memory);

    /// Writes the parts in order as the contents of the frames: `lead` zeros, `data`, zeros to the end.
    void fill(size_t lead, Bytes data);
    /// The 64-bit word at byte `offset`, a multiple of 8 below the size of the frames, through the direct map.
    uint64_t* word_at(uint64_t offset);

    /// Maps all frames from `at` on. After an error some are mapped; the caller unmaps in both cases.
    Result<void> map(Memory& memory, uint8_t* at, arch::Protection protection) const;

private:
    struct Run {
        arch::PhysicalAddress address = 0;
        size_t pages = 0;
        Run* next = nullptr;  ///< from the heap
    };
    Run first_;
};

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The kernel's own Buffers: what a module hands over is moved to the kernel's ledger or freed through its own.
//
// A file of its own, so that tests which link parts of the kernel can bring buffers of theirs.

#include "kernel/kernel.hpp"

namespace helix::runtime {

uint8_t* buffer_allocate(size_t size) {
    return static_cast<uint8_t*>(kernel::this_kernel().modules.kernel_ledger().allocate(size, 16));
}
void buffer_free(uint8_t* data) {
    kernel::Ledger::free(data);
}

}  // namespace helix::runtime

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Kernel objects on the kernel's heap: make and unmake, in place of new and delete.
#pragma once

#include "kernel/memory/heap.hpp"

#include <new>
#include <utility>

namespace helix::kernel {

/// Null when memory is short. Any thread context.
template <typename T, typename... Arguments>
T* make(Heap& heap, Arguments&&... arguments) {
    void* const block = heap.allocate(sizeof(T), alignof(T));
    return block == nullptr ? nullptr : new (block) T(std::forward<Arguments>(arguments)...);
}

/// The inverse of make; null is nothing.
template <typename T>
void unmake(Heap& heap, T* object) {
    if (object == nullptr) return;
    object->~T();
    heap.free(object);
}

}  // namespace helix::kernel

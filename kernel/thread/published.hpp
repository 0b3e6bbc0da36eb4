// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Published: a pointer that is written under a lock and that others follow without it.
#pragma once

namespace helix::kernel {

/// Who reads it sees what was written to the object before the pointer was. That the object is still there, the reader
/// sees to: it holds the writers' lock, or has preemption off and whoever frees the object waits for a grace period.
template <typename T>
class Published {
public:
    constexpr explicit Published(T* pointer = nullptr) : pointer_(pointer) {}
    Published(const Published& other) : pointer_(other.load()) {}
    // NOLINTNEXTLINE(bugprone-unhandled-self-assignment): it is read before it is written
    Published& operator=(const Published& other) { return *this = other.load(); }
    Published& operator=(T* pointer) {
        __atomic_store_n(&pointer_, pointer, __ATOMIC_RELEASE);
        return *this;
    }
    T* load() const { return __atomic_load_n(&pointer_, __ATOMIC_ACQUIRE); }
    operator T*() const { return load(); }
    T* operator->() const { return load(); }

private:
    T* pointer_;
};

}  // namespace helix::kernel

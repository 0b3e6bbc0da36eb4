// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Relaxed: a value that is written under a lock and that others look at without it. They may see an older one.
#pragma once

namespace helix::kernel {

template <typename T>
class Relaxed {
public:
    constexpr Relaxed(T value = {}) : value_(value) {}
    Relaxed(const Relaxed& other) : value_(other.load()) {}
    Relaxed& operator=(const Relaxed& other) { return *this = other.load(); }
    Relaxed& operator=(T value) {
        __atomic_store(&value_, &value, __ATOMIC_RELAXED);
        return *this;
    }
    T load() const {
        T value;
        __atomic_load(&value_, &value, __ATOMIC_RELAXED);
        return value;
    }
    operator T() const { return load(); }

private:
    T value_;
};

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Locked: data inside its lock. Nobody reaches it without.
#pragma once

#include "kernel/thread/spin_lock.hpp"

namespace helix::kernel {

class Mutex;
template <typename T, typename Lock>
class Access;

/// The compiler knows it as the lock that it is: where it is declared it has a rank like any other (HELIX_RANK).
template <typename T, typename Lock = Mutex>
class HELIX_CAPABILITY("locked data") Locked {
public:
    template <typename... Arguments>
    constexpr explicit Locked(LockRank rank, Arguments&&... arguments)
        : lock_(rank), value_(static_cast<Arguments&&>(arguments)...) {}
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;

    /// Runs `action(value)` with the lock held; what it returns must not lead to the value.
    template <typename Action>
    auto with(Action action) HELIX_EXCLUDES(this) {
        const Access<T, Lock> access(*this);
        return action(*access);
    }

private:
    friend class Access<T, Lock>;
    Lock lock_;
    T value_;
};

/// Holds the lock, and leads to the value, while it lives.
template <typename T, typename Lock>
class HELIX_SCOPED_CAPABILITY Access {
public:
    explicit Access(Locked<T, Lock>& of) HELIX_ACQUIRE(of) HELIX_NO_THREAD_SAFETY_ANALYSIS : of_(of) {
        of_.lock_.lock();
    }
    ~Access() HELIX_RELEASE() HELIX_NO_THREAD_SAFETY_ANALYSIS { of_.lock_.unlock(); }
    Access(const Access&) = delete;
    Access& operator=(const Access&) = delete;

    T& operator*() const { return of_.value_; }
    T* operator->() const { return &of_.value_; }

private:
    Locked<T, Lock>& of_;
};

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Locked: data inside its lock. Nobody reaches it without.
#pragma once

#include "kernel/thread/mutex.hpp"
#include "kernel/thread/spin_lock.hpp"

namespace helix::kernel {

template <typename T, typename Lock = Mutex>
class Locked {
public:
    template <typename... Arguments>
    explicit Locked(LockRank rank, Arguments&&... arguments)
        : lock_(rank), value_(static_cast<Arguments&&>(arguments)...) {}
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;

    /// Runs `action(value)` with the lock held; what it returns must not lead to the value.
    template <typename Action>
    auto with(Action action) {
        const Guard guard(lock_);
        return action(value_);
    }
    template <typename Action>
    auto with(Action action) const {
        const Guard guard(lock_);
        return action(value_);
    }

private:
    class HELIX_SCOPED_CAPABILITY Guard {
    public:
        explicit Guard(Lock& lock) HELIX_ACQUIRE(lock) : lock_(lock) { lock_.lock(); }
        ~Guard() HELIX_RELEASE() { lock_.unlock(); }
        Guard(const Guard&) = delete;
        Guard& operator=(const Guard&) = delete;

    private:
        Lock& lock_;
    };

    mutable Lock lock_;
    T value_ HELIX_GUARDED_BY(lock_);
};

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// RwLock: many readers or one writer; whoever waits sleeps. First come first served: readers that come behind a waiting
// writer wait too, so neither side starves.
#pragma once

#include "kernel/thread/thread_annotations.hpp"
#include "kernel/thread/waiters.hpp"

namespace helix::kernel {

/// Not recursive, for readers neither: a writer may have come in between. Holders inherit no priority.
class HELIX_CAPABILITY("reader-writer lock") RwLock {
public:
    explicit RwLock(LockRank rank) : rank_(rank) {}
    RwLock(const RwLock&) = delete;
    RwLock& operator=(const RwLock&) = delete;

    void lock() HELIX_ACQUIRE() HELIX_MAY_SLEEP HELIX_NO_THREAD_SAFETY_ANALYSIS {
        (void)acquire(true, kForever, Cancellable::No);
    }
    void lock_shared() HELIX_ACQUIRE_SHARED() HELIX_MAY_SLEEP HELIX_NO_THREAD_SAFETY_ANALYSIS {
        (void)acquire(false, kForever, Cancellable::No);
    }
    /// False if it was not to be had within `timeout_ns`, or the thread was cancelled meanwhile.
    bool lock_for(uint64_t timeout_ns) HELIX_TRY_ACQUIRE(true) HELIX_MAY_SLEEP HELIX_NO_THREAD_SAFETY_ANALYSIS {
        return acquire(true, deadline_after(timeout_ns), Cancellable::Yes);
    }
    bool lock_shared_for(uint64_t timeout_ns)
        HELIX_TRY_ACQUIRE_SHARED(true) HELIX_MAY_SLEEP HELIX_NO_THREAD_SAFETY_ANALYSIS {
        return acquire(false, deadline_after(timeout_ns), Cancellable::Yes);
    }
    void unlock() HELIX_RELEASE() HELIX_MAY_SPIN HELIX_NO_THREAD_SAFETY_ANALYSIS { release(true); }
    void unlock_shared() HELIX_RELEASE_SHARED() HELIX_MAY_SPIN HELIX_NO_THREAD_SAFETY_ANALYSIS { release(false); }

private:
    bool acquire(bool alone, uint64_t deadline_ns, Cancellable cancellable);
    void release(bool alone);
    bool fits(bool alone) const HELIX_REQUIRES(lock_) { return !writing_ && (!alone || readers_ == 0); }
    void enter(bool alone) HELIX_REQUIRES(lock_);
    void grant() HELIX_REQUIRES(lock_);

    const LockRank rank_;
    SpinLock lock_ HELIX_RANK(WaitQueue);
    Waiters waiting_ HELIX_GUARDED_BY(lock_);
    uint32_t readers_ HELIX_GUARDED_BY(lock_) = 0;
    bool writing_ HELIX_GUARDED_BY(lock_) = false;
};

class HELIX_SCOPED_CAPABILITY WriteGuard {
public:
    explicit WriteGuard(RwLock& lock) HELIX_ACQUIRE(lock) : lock_(lock) { lock_.lock(); }
    ~WriteGuard() HELIX_RELEASE() { lock_.unlock(); }
    WriteGuard(const WriteGuard&) = delete;
    WriteGuard& operator=(const WriteGuard&) = delete;

private:
    RwLock& lock_;
};

class HELIX_SCOPED_CAPABILITY ReadGuard {
public:
    explicit ReadGuard(RwLock& lock) HELIX_ACQUIRE_SHARED(lock) : lock_(lock) { lock_.lock_shared(); }
    ~ReadGuard() HELIX_RELEASE_GENERIC() { lock_.unlock_shared(); }
    ReadGuard(const ReadGuard&) = delete;
    ReadGuard& operator=(const ReadGuard&) = delete;

private:
    RwLock& lock_;
};

}  // namespace helix::kernel

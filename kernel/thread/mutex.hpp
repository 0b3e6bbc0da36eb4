// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Mutex: mutual exclusion between threads; whoever waits sleeps.
#pragma once

#include "kernel/thread/cpu.hpp"
#include "kernel/thread/thread_annotations.hpp"
#include "kernel/thread/wait_queue.hpp"

namespace helix::kernel {

class HELIX_CAPABILITY("mutex") Mutex {
public:
    /// Thread context, preemption on. Not recursive: see held_by_me.
    void lock() HELIX_ACQUIRE() HELIX_NO_THREAD_SAFETY_ANALYSIS {
        queue_.wait_until([&] { return take(); }, kForever, Cancellable::No);
    }
    /// False if it was not free within `timeout_ns`, or the thread was cancelled meanwhile.
    bool lock_for(uint64_t timeout_ns) HELIX_TRY_ACQUIRE(true) HELIX_NO_THREAD_SAFETY_ANALYSIS {
        return queue_.wait_until([&] { return take(); }, deadline_after(timeout_ns)) == WakeReason::Signalled;
    }
    void unlock() HELIX_RELEASE() {
        queue_.wake_one([&] { owner_ = nullptr; });
    }
    bool held_by_me() {
        return queue_.locked([&] { return owner_ == &current_thread(); });
    }

private:
    bool take() {
        if (owner_ != nullptr) return false;
        owner_ = &current_thread();
        return true;
    }

    WaitQueue queue_;
    Thread* owner_ = nullptr;  // guarded by the queue's lock
};

class HELIX_SCOPED_CAPABILITY MutexGuard {
public:
    explicit MutexGuard(Mutex& mutex) HELIX_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
    ~MutexGuard() HELIX_RELEASE() { mutex_.unlock(); }
    MutexGuard(const MutexGuard&) = delete;
    MutexGuard& operator=(const MutexGuard&) = delete;

private:
    Mutex& mutex_;
};

}  // namespace helix::kernel

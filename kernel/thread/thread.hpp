// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Thread: everything the kernel knows of one thread. Threads are never moved and their memory is never unmapped,
// so that a stale pointer can be checked and a stale wake-up does no harm.
#pragma once

#include "arch/seam.hpp"
#include "helix/abi.hpp"
#include "helix/interfaces/scheduler.hpp"
#include "kernel/thread/lock_order.hpp"
#include "kernel/thread/relaxed.hpp"

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>

#include <atomic>

namespace helix::kernel {

struct Owner;
class Mutex;

enum class ThreadState : uint8_t {
    Free,      ///< the entry of the table is unused
    Runnable,  ///< waits for a CPU
    Running,
    Blocked,  ///< waits in a wait queue or for a time
    Ended,    ///< done; its stack is being given back
};
constexpr Text describe(ThreadState state) {
    switch (state) {
        case ThreadState::Free: return "free";
        case ThreadState::Runnable: return "runnable";
        case ThreadState::Running: return "running";
        case ThreadState::Blocked: return "blocked";
        case ThreadState::Ended: return "ended";
    }
    return "?";
}

/// Who orders the thread: the kernel itself, before all others, or the policy that fills helix.scheduler.
enum class ThreadClass : uint8_t { Kernel, Policy, Idle };

enum class WakeReason : uint8_t { None = 0, Signalled = 1, TimedOut = 2, Cancelled = 3 };

#if defined(HELIX_DEBUG_LOCKS)
struct HeldLock {
    const void* lock;
    LockRank rank;
};
#endif

/// What was seen at ticks of a thread that had waited longest on its CPU; policy_watch.cpp.
struct Vigil {
    uint32_t switches = ~uint32_t{0};  ///< of that thread, modulo 2^32; if they change, it ran in between
    uint32_t passed_over = 0;          ///< so many ticks went to others that had no better right
    uint16_t tenant = 0;               ///< which policy let it wait: PolicySlot::Place
    uint16_t most = 0;                 ///< so many waited at the same time
};

struct ReadyTag;
struct WaitTag;
struct TimerTag;
using ReadyHook = boost::intrusive::list_base_hook<boost::intrusive::tag<ReadyTag>>;
using WaitHook = boost::intrusive::list_base_hook<boost::intrusive::tag<WaitTag>>;
using TimerHook =
    boost::intrusive::set_base_hook<boost::intrusive::tag<TimerTag>, boost::intrusive::optimize_size<true>>;

/// What waits for a time: a thread, or a timer of a module's (kernel/module/semaphore_table.hpp).
struct Deadline : TimerHook {
    uint64_t deadline_ns = 0;       ///< key in the timer queue
    CpuId timer_cpu = 0;            ///< whose timer queue it is in, if it is in one; atomic
    TimerId timer = TimerId::None;  ///< None: it is a thread
};

/// The one lock under which mutexes are waited for and priorities inherited, by name: it lies in Inheritance
/// (inheritance.hpp). Never defined.
class HELIX_CAPABILITY("inheritance lock") InheritanceLock {};
extern InheritanceLock inheritance_lock HELIX_RANKED(Inheritance);

struct Thread : ReadyHook, WaitHook, Deadline {
    static constexpr size_t kPolicies = 2;

    // Fixed while the thread lives.
    ThreadId id = ThreadId::None;
    ThreadClass kind = ThreadClass::Policy;
    FixedText<29> name;
    void (*entry)(void*) = nullptr;
    void* argument = nullptr;
    Owner* owner = nullptr;  ///< the module instance it belongs to; null for the kernel's own
    MutableBytes stack;
    void* address_space = nullptr;  ///< room for ring 3; null means the kernel's

    // Guarded by the lock of `cpu`, which is held across every switch: state saved means lock free.
    Relaxed<ThreadState> state = ThreadState::Free;
    CpuId cpu = 0;
    uint32_t base_priority = kDefaultPriority;  ///< what was asked for; written under the inheritance lock too
    uint32_t priority = kDefaultPriority;       ///< what the policy goes by: the base, or what is inherited if higher
    arch::ThreadContext context;
    Gate* gate = nullptr;     ///< innermost gate while it does not run
    uint64_t runtime_ns = 0;  ///< up to its last switch
    uint64_t switches = 0;
    // Of the thread itself, while it runs: whether those that it wakes may wait for it to block; placement.cpp.
    uint64_t woke_at_cycles = 0;  ///< when it last woke another since it runs; 0: it did not
    bool goes_on = false;         ///< the last time it did not block soon afterwards
    uint8_t queued_in = 0;        ///< bit n: the policy in place n has this thread in its queues
    Vigil vigil;                  ///< goes with it when it is moved while it waits
    /// What each of the two policy places sees of the thread (one rules, one may be mirrored).
    SchedulerThread view[kPolicies] = {};

    /// The CPUs that it may run on, whether they are online or not. The lock of `cpu` held.
    uint64_t allowed_cpus() const { return kind == ThreadClass::Policy ? view[0].affinity : ~uint64_t{0}; }
    bool is_allowed_on(CpuId which) const { return (allowed_cpus() >> which & 1) != 0; }

    // Waiting. `wake_reason` decides the race between signal, time-out and cancel: who changes it from None wakes.
    std::atomic<WakeReason> wake_reason{WakeReason::Signalled};
    std::atomic<bool> cancellable{false};  ///< the wait that it is in ends when it is cancelled
    std::atomic<bool> cancelled{false};  ///< every wait ends at once; set when the owner failed or is stopped by force
    bool restartable = false;            ///< the wait also ends when the instance that it `waits_in` is to be replaced
    /// It runs no code of its owner, and begins to only if that does not park its threads: it waits where that code
    /// asked for it, has not begun or has ended. Written by the thread itself.
    std::atomic<bool> rests{true};
    /// It is inside a module that a hold waits for; see lending.hpp. Written under the inheritance lock, and by whoever
    /// creates the thread.
    std::atomic<bool> lent{false};
    uint32_t told_of_hold = 0;  ///< the hold for which a wait of this thread ended: once is enough
    /// The instance that this thread called, and in whose code it asked the kernel for the wait it is in; the wait ends
    /// with the instance. Written by the thread itself, like `restartable`, which is set before.
    std::atomic<Owner*> waits_in{nullptr};
    /// The call lock or closed slot of another module for which a call of a module's waits; null: none, so that it
    /// waits for something of its own. Written by the thread itself.
    std::atomic<const void*> awaits{nullptr};
    /// The innermost call that the kernel itself makes on this thread into a module, for its lifecycle or an event:
    /// waits in it last no longer than to the deadline. Written by the thread itself.
    Owner* kernel_call = nullptr;
    uint64_t kernel_call_deadline_ns = UINT64_MAX;

    void* fpu_state = nullptr;  ///< room for threads that use vector registers; null means none. Fixed, too

    Mutex* waits_for HELIX_GUARDED_BY(inheritance_lock) = nullptr;        ///< the mutex in whose list of waiters it is
    Mutex* first_contended HELIX_GUARDED_BY(inheritance_lock) = nullptr;  ///< those it holds and others wait for

#if defined(HELIX_DEBUG_LOCKS)
    // Of the thread itself: the locks it holds whose waiters sleep.
    static constexpr size_t kMaximumHeld = 16;
    HeldLock held[kMaximumHeld] = {};
    size_t held_count = 0;
#endif
};

#if !defined(HELIX_DEBUG_LOCKS)
static_assert(sizeof(Thread) % 64 == 0, "threads share no cache line, and what a switch touches lies alike in all");
#endif

using ReadyList =
    boost::intrusive::list<Thread, boost::intrusive::base_hook<ReadyHook>, boost::intrusive::constant_time_size<false>>;

}  // namespace helix::kernel

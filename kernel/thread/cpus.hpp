// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Cpus: which CPUs take part, how they come and go, and how one of them has something done on all.
#pragma once

#include "kernel/thread/cpu_areas.hpp"
#include "kernel/thread/mutex.hpp"

namespace helix::kernel {

class Cpus {
public:
    explicit Cpus(Kernel& kernel) : kernel_(kernel) {}
    Cpus(const Cpus&) = delete;
    Cpus& operator=(const Cpus&) = delete;

    /// Areas for `count` CPUs. Once. Errors: OutOfMemory.
    Result<void> init(size_t count);

    size_t count() const { return areas_.count(); }
    Cpu& cpu(CpuId id) const { return areas_.cpu(id); }
    CpuAreas& areas() { return areas_; }
    /// Bit n: CPU n takes part. Changes at any time, but not in a rendezvous.
    uint64_t online() const HELIX_READS_UNLOCKED { return __atomic_load_n(&online_, __ATOMIC_ACQUIRE); }
    bool is_online(CpuId id) const { return (online() >> id & 1) != 0; }

    // ---- Thread context, preemption on, no spin lock held.

    /// Lets CPU `id` take part. Errors: InvalidArgument (no such CPU), InvalidState (it does), TimedOut (no answer).
    Result<void> bring_online(CpuId id);
    /// Its threads go on elsewhere, and it sleeps until it is brought online. Errors: InvalidArgument (no such CPU, or
    /// the boot CPU), InvalidState (it does not take part).
    Result<void> take_offline(CpuId id);
    /// Runs `action(argument)` once on every CPU that takes part, each time with preemption off and outside bounded
    /// calls; returns when all have. It asks for nothing, waits for nobody and does not take long. Several callers'
    /// actions are under way at the same time, on each CPU in the order in which they came there. A CPU that comes or
    /// goes meanwhile may be left out, with nothing of what it did before to come.
    void run_on_each(void (*action)(void*), void* argument) HELIX_MAY_SLEEP;
    /// Runs `action(argument)` once, on the calling CPU, while all other CPUs that take part wait with preemption off
    /// and outside bounded calls. For changes that nothing less makes safe: everybody waits for the slowest to come.
    /// One at a time, and no CPU comes or goes meanwhile. Returns the cycles from the first CPU's waiting to the last
    /// one's release.
    uint64_t rendezvous(void (*action)(void*), void* argument) HELIX_MAY_SLEEP;
    /// Waits until every CPU has been outside of bounded calls and of stretches without preemption. What the caller
    /// wrote before is seen by all afterwards, and what others wrote before is seen by the caller.
    void wait_grace_period() HELIX_MAY_SLEEP;

    // ---- On the CPU itself.

    /// Makes the calling CPU, which was just started, number `id`. Preemption is off afterwards.
    void adopt(CpuId id);
    /// The calling CPU takes part from now on. Its idle thread; preemption off.
    // Who starts it holds change_ until it has joined, which the analysis cannot know.
    void join(Cpu& cpu) HELIX_PREEMPTION_OFF HELIX_NO_THREAD_SAFETY_ANALYSIS;
    /// Stops the calling CPU, which is leaving and has nothing left to run. Its idle thread; preemption off.
    [[noreturn]] void leave(Cpu& cpu);

    /// CPUs whose idle thread looks for work. Bits are set by the CPU itself and cleared by whoever wakes it.
    uint64_t idle() const { return __atomic_load_n(&idle_, __ATOMIC_SEQ_CST); }
    void set_idle(CpuId id) { __atomic_fetch_or(&idle_, uint64_t{1} << id, __ATOMIC_SEQ_CST); }
    /// True if the bit was set.
    bool clear_idle(CpuId id) {
        const uint64_t bit = uint64_t{1} << id;
        return (__atomic_fetch_and(&idle_, ~bit, __ATOMIC_SEQ_CST) & bit) != 0;
    }

private:
    /// Gives `work` to all other CPUs that do such work; returns how many those are.
    uint32_t hand_out(CpuWork& work) HELIX_PREEMPTION_OFF;

    Result<Cpu*> find(CpuId id);

    Kernel& kernel_;
    CpuAreas areas_;
    Mutex change_ HELIX_RANK(CpuChange);  // held while CPUs come and go, and while all of them meet
    uint64_t online_ HELIX_GUARDED_BY(change_) = 0;
    uint64_t working_ = 0;  // CPUs whose queues of work are open, from before they run anything until after; atomic
    uint64_t idle_ = 0;
};

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// helix.scheduler: the policy that decides which thread a CPU runs next.
//
// The kernel owns the truth about threads; a policy owns only their order. It gets an area of its own in every
// thread and every CPU, zeroed before first use, and needs no other memory. It can lose all of it without losing
// a thread. Every method runs with preemption off under the lock of the CPU it names, so that the state of one
// CPU needs no lock; state shared between CPUs needs one. No method may call a service that blocks.
#pragma once

#include "helix/interface.hpp"

namespace helix {

/// Priorities run from 0 (least urgent) to 31 (most urgent); 16 is the default.
inline constexpr uint32_t kPriorityLevels = 32;
inline constexpr uint32_t kDefaultPriority = 16;

/// A policy's view of one thread. The kernel keeps one for each policy that is plugged in or mirrored, so `area`
/// is never shared. Lives until the policy was told that the thread left for good or was replaced.
struct SchedulerThread {
    static constexpr size_t kAreaSize = 64;

    ThreadId id;
    uint32_t priority;    ///< 0 to 31
    uint64_t affinity;    ///< bit n: may run on CPU n
    uint64_t runtime_ns;  ///< CPU time used so far, up to its last switch
    CpuId cpu;            ///< where it runs, waits or last ran
    uint32_t reserved;
    alignas(16) uint8_t area[kAreaSize];

    /// The policy's own data in this thread; zero when the policy first sees the thread.
    template <typename T>
    T& policy() {
        static_assert(sizeof(T) <= kAreaSize && std::is_trivially_copyable_v<T>);
        return *reinterpret_cast<T*>(area);
    }
    template <typename T>
    const T& policy() const {
        return const_cast<SchedulerThread*>(this)->policy<T>();
    }
};

/// A policy's view of one CPU.
struct SchedulerCpu {
    static constexpr size_t kAreaSize = 1024;

    CpuId id;
    uint32_t reserved;
    SchedulerThread* current;  ///< the policy's thread that runs here; null while another class or nothing does
    alignas(64) uint8_t area[kAreaSize];

    /// The policy's own data for this CPU; zero when the policy first sees it.
    template <typename T>
    T& policy() {
        static_assert(sizeof(T) <= kAreaSize && std::is_trivially_copyable_v<T>);
        return *reinterpret_cast<T*>(area);
    }
    template <typename T>
    const T& policy() const {
        return const_cast<SchedulerCpu*>(this)->policy<T>();
    }
};

enum class EnqueueReason : uint32_t {
    Created = 0,
    Woken = 1,
    Preempted = 2,  ///< it was running and wants to go on
    Yielded = 3,    ///< it was running and lets others go first
    Migrated = 4,   ///< it came from another CPU
    Snapshot = 5,   ///< it was runnable before this policy was plugged in
};
enum class DequeueReason : uint32_t {
    Picked = 0,    ///< another policy rules here and picked it: take it out as pick_next would
    Migrated = 1,  ///< it goes to another CPU
    Ended = 2,     ///< it was ended while it waited
};
enum class TickDecision : uint32_t { Continue = 0, Preempt = 1 };

struct SchedulerStatistics {
    uint64_t runnable;  ///< threads in the queues of this CPU now, the running one not counted
    uint64_t enqueues;
    uint64_t picks;        ///< threads returned by pick_next and yield
    uint64_t preemptions;  ///< ticks answered with Preempt
};

class Scheduler {
public:
    /// `thread` may run: put it into the queues of `cpu`. It is in no queue of this policy.
    virtual void enqueue(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason reason) = 0;
    /// `thread` leaves the queues of `cpu` without being picked by this policy. It is in them.
    virtual void dequeue(SchedulerCpu& cpu, SchedulerThread& thread, DequeueReason reason) = 0;
    /// Takes the thread that runs next out of the queues and returns it; null when they are empty.
    virtual SchedulerThread* pick_next(SchedulerCpu& cpu) = 0;
    /// A timer tick at `now_ns` (monotonic) while `cpu.current` runs. Preempt puts it back with Preempted.
    virtual TickDecision tick(SchedulerCpu& cpu, uint64_t now_ns) = 0;
    /// True if `woken`, just enqueued on `cpu`, should run before `cpu.current` goes on.
    virtual bool should_preempt(const SchedulerCpu& cpu, const SchedulerThread& woken) const = 0;
    /// The CPU on which a thread that becomes runnable should wait; one of its affinity.
    virtual CpuId select_cpu(const SchedulerThread& thread, CpuId waker) const = 0;
    /// The priority of `thread` changed from `old_priority`; `queued` when it is in the queues of `cpu`.
    virtual void priority_changed(SchedulerCpu& cpu, SchedulerThread& thread, uint32_t old_priority, bool queued) = 0;
    /// Returns what it counted for `cpu` since the policy started.
    virtual SchedulerStatistics statistics(const SchedulerCpu& cpu) const = 0;
    /// Whether the queues of `cpu` hold `thread`, which is in them as far as the kernel knows: its links and marks, and
    /// those of its neighbours, agree. Looks at this thread alone: asked of each before the policy may rule.
    virtual bool self_check(const SchedulerCpu& cpu, const SchedulerThread& thread) const = 0;
    /// `thread`, which is `cpu.current`, gives way to others, but may go on: enqueue with `reason`, which is Yielded or
    /// Preempted, and pick_next in one step. A policy may have a shorter way to the same answer than this one. A
    /// mirrored policy is told by enqueue and dequeue.
    virtual SchedulerThread* yield(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason reason) {
        enqueue(cpu, thread, reason);
        return pick_next(cpu);
    }

protected:
    ~Scheduler() = default;
};

template <>
struct InterfaceTraits<Scheduler> {
    static constexpr InterfaceId kId{"helix.scheduler", 2, 1};
    static constexpr MethodTraits kRule = MethodTraits::Bounded | MethodTraits::Serialised;
    static constexpr auto kMethods = methods(                                                   //
        MethodEntry<&Scheduler::enqueue>{"enqueue", kRule},                                     //
        MethodEntry<&Scheduler::dequeue>{"dequeue", kRule},                                     //
        MethodEntry<&Scheduler::pick_next>{"pick_next", kRule},                                 //
        MethodEntry<&Scheduler::tick>{"tick", kRule},                                           //
        MethodEntry<&Scheduler::should_preempt>{"should_preempt", kRule | MethodTraits::Pure},  //
        MethodEntry<&Scheduler::select_cpu>{"select_cpu", kRule | MethodTraits::Pure},          //
        MethodEntry<&Scheduler::priority_changed>{"priority_changed", kRule},                   //
        MethodEntry<&Scheduler::statistics>{"statistics", kRule | MethodTraits::Pure},          //
        MethodEntry<&Scheduler::self_check>{"self_check", kRule | MethodTraits::Pure},          //
        MethodEntry<&Scheduler::yield>{"yield", kRule});
};

}  // namespace helix

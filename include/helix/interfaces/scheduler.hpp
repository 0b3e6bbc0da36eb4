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
#include "helix/scheduling.hpp"

namespace helix {

/// A policy's view of one thread. The kernel keeps one for each policy that is plugged in or mirrored, so `area`
/// is never shared. Lives until the policy was told that the thread left for good or was replaced.
struct SchedulerThread {
    static constexpr size_t kAreaSize = 64;

    ThreadId id;
    uint32_t priority;    ///< 0 to 31
    uint64_t affinity;    ///< bit n: may run on CPU n
    uint64_t runtime_ns;  ///< CPU time used so far; of a running thread up to its last tick, or see WantsTime
    CpuId cpu;            ///< where it runs, waits or last ran
    uint32_t reserved;
    SchedulingAttributes attributes;
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
    uint64_t now_ns;           ///< monotonic; of the last tick, and with WantsTime also of the last call of `enqueue`,
                               ///< `dequeue` for a migration, and `set_attributes`, the one under way included
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
    Migrated = 4,   ///< it came from another CPU, or has left this one for a moment
    Snapshot = 5,   ///< it was runnable before this policy was plugged in
};
enum class DequeueReason : uint32_t {
    Picked = 0,    ///< another policy rules here and picked it: take it out as pick_next would
    Migrated = 1,  ///< it goes to another CPU, or comes back here at once
    Ended = 2,     ///< it was ended while it waited
};
enum class BlockReason : uint32_t {
    Blocked = 0,  ///< it waits for something, and comes back with Woken
    Ended = 1,    ///< it does not come back
};
enum class TickDecision : uint32_t { Continue = 0, Preempt = 1 };

/// What a policy promises, and what it wants to be told of or asked.
enum class SchedulerTraits : uint32_t {
    None = 0,
    Preempts = 1 << 0,       ///< promise: of equals that do not give way none runs for longer than a second at a time
    WantsBlock = 1 << 1,     ///< `block` is called
    WantsTime = 1 << 2,      ///< `now_ns` of a CPU, and `runtime_ns` of its `current`, are up to date in more methods
    PlacesThreads = 1 << 3,  ///< `may_move` is called
    /// Whom `would_pick` names on one CPU may run on another at once, if `should_preempt` says so there. It is asked
    /// for that at ticks, and may not be the one that the interface has.
    OrdersAllCpus = 1 << 4
    // The upper half is a number: see turns_of.
};
constexpr SchedulerTraits operator|(SchedulerTraits a, SchedulerTraits b) {
    return static_cast<SchedulerTraits>(static_cast<uint32_t>(a) | static_cast<uint32_t>(b));
}
constexpr bool has(SchedulerTraits set, SchedulerTraits trait) {
    return (static_cast<uint32_t>(set) & static_cast<uint32_t>(trait)) != 0;
}
/// Promise of a policy that Preempts: where n threads wait that want nothing beyond their priority, none of them waits
/// while its equals and less urgent ones run for much longer than n turns of `ns`: four times that. Counts in
/// milliseconds, up to 65 seconds; a policy that says nothing of turns promises those of a second.
constexpr SchedulerTraits turns_of(uint64_t ns) {
    const uint64_t ms = (ns + 999'999) / 1'000'000;
    return static_cast<SchedulerTraits>((ms < 1 ? 1 : ms > 65'535 ? 65'535 : ms) << 16);
}
/// The turns that a policy promises, in milliseconds; 0: it promises none.
constexpr uint32_t promised_turn_ms(SchedulerTraits set) {
    if (!has(set, SchedulerTraits::Preempts)) return 0;
    const uint32_t ms = static_cast<uint32_t>(set) >> 16;
    return ms != 0 ? ms : 1000;
}

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
    /// A timer tick at `now_ns` (monotonic) while `cpu.current` runs; its `runtime_ns` is up to date. Preempt puts it
    /// back with Preempted.
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
    /// The policy is plugged in, perhaps not for the first time: all areas are zero, nothing is queued, and from now on
    /// it is told of everything. Runs with preemption off, before any other method.
    virtual SchedulerTraits plug_in() { return SchedulerTraits::Preempts; }
    /// `thread`, which ran on `cpu`, leaves it and is in no queue. With WantsBlock.
    virtual void block(SchedulerCpu&, SchedulerThread&, BlockReason) {}
    /// Whether the kernel may have `thread`, which waits elsewhere, wait on CPU `to`, since that has more time. A CPU
    /// that goes offline does not ask. Also asked of the CPU where it runs or waits, after `set_attributes` and now and
    /// then: false, and it is taken to where `select_cpu` wants it. With PlacesThreads; the lock of the thread's CPU is
    /// held.
    virtual bool may_move(const SchedulerThread&, CpuId) const { return true; }
    /// `thread`, which is in the queues of `cpu` if `queued`, wants other attributes (valid ones). True: it has them
    /// when this has returned. False: the policy cannot promise what they reserve, and nothing has changed; from a
    /// mirrored policy that counts for nothing, and the attributes change all the same.
    virtual bool set_attributes(SchedulerCpu&, SchedulerThread&, const SchedulingAttributes& wanted, bool /*queued*/) {
        return !wanted.reserves();
    }
    /// `cpu` takes part from now on, or takes part no more: what waits there is about to be moved. A policy that is
    /// plugged in is told of each CPU that takes part, perhaps twice.
    virtual void cpu_changed(SchedulerCpu&, bool /*online*/) {}
    /// For a bad day: writes what it knows of `cpu` and its queues as text for people into `out`, as far as that goes,
    /// and returns how many characters. Changes nothing.
    virtual size_t dump(const SchedulerCpu&, Span<char>) const { return 0; }
    /// Which thread pick_next would return now; nobody leaves the queues. Asked of a mirrored policy on trial, right
    /// before it is told by `dequeue` who was picked, and of a ruling one that seems to have lost a thread. A policy
    /// that does not write it picks, and puts the thread back as one that was preempted; where that costs a thread its
    /// turn, its answers differ more than its picks would.
    virtual SchedulerThread* would_pick(SchedulerCpu& cpu) {
        SchedulerThread* const thread = pick_next(cpu);
        if (thread != nullptr) enqueue(cpu, *thread, EnqueueReason::Preempted);
        return thread;
    }

protected:
    ~Scheduler() = default;
};

template <>
struct InterfaceTraits<Scheduler> {
    static constexpr InterfaceId kId{"helix.scheduler", 3, 1};
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
        MethodEntry<&Scheduler::yield>{"yield", kRule},                                         //
        MethodEntry<&Scheduler::plug_in>{"plug_in", MethodTraits::Bounded},                     //
        MethodEntry<&Scheduler::block>{"block", kRule},                                         //
        MethodEntry<&Scheduler::may_move>{"may_move", kRule | MethodTraits::Pure},              //
        MethodEntry<&Scheduler::set_attributes>{"set_attributes", kRule},                       //
        MethodEntry<&Scheduler::cpu_changed>{"cpu_changed", kRule},                             //
        MethodEntry<&Scheduler::dump>{"dump", kRule | MethodTraits::Pure},                      //
        MethodEntry<&Scheduler::would_pick>{"would_pick", kRule});
};

}  // namespace helix

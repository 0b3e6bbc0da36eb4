// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Threads: creation, blocking, waking and switching. Who runs next is the policy's affair (policy_slot.hpp).
#pragma once

#include "kernel/thread/awaited.hpp"
#include "kernel/thread/cpus.hpp"
#include "kernel/thread/inheritance.hpp"
#include "kernel/thread/owner.hpp"
#include "kernel/thread/policy_slot.hpp"
#include "kernel/thread/spin_lock.hpp"
#include "kernel/thread/timer_queue.hpp"

namespace helix::kernel {

struct Kernel;

/// What the `threads` command and tests see of a thread.
struct ThreadSnapshot {
    ThreadId id;
    FixedText<29> name;
    ThreadState state;
    ThreadClass kind;
    uint32_t base_priority;
    uint32_t priority;  ///< with what it inherits from those who wait for it
    CpuId cpu;
    uint64_t allowed_cpus;  ///< bit n: CPU n
    uint64_t runtime_ns;
    uint64_t switches;
    Owner* owner;
};

struct ThreadOptions {
    ThreadClass kind = ThreadClass::Policy;
    uint32_t priority = kDefaultPriority;
    Owner* owner = nullptr;
};

/// Whether a thread that becomes runnable is worth an interrupt of an idle CPU at once.
enum class Haste : uint8_t {
    Now,
    WhenWakerStays,  ///< only if the waker, the calling thread, does not block soon: then this CPU has time for it
};

class Threads;

/// All CPUs' timer queues, as those who wait for a time use them.
class Timers {
public:
    explicit Timers(Threads& threads) : threads_(threads) {}
    /// The calling thread, which is in no queue, is woken with TimedOut at `deadline_ns`, unless it is removed before;
    /// or a timer of a module's comes due then.
    void add(Deadline& waiter, uint64_t deadline_ns) HELIX_MAY_SPIN;
    /// Takes `waiter` out if it is still in.
    void remove(Deadline& waiter) HELIX_MAY_SPIN;

private:
    Threads& threads_;
};

class Threads {
public:
    static constexpr uint64_t kTickNs = 1'000'000;
    static constexpr uint64_t kWatchNs = 50'000'000;  ///< between two looks of a CPU at the one that it watches
    static constexpr uint64_t kShareNs = 50'000;      ///< how long a woken thread waits for its waker to block
    static constexpr uint64_t kBalanceTicks = 4;      ///< between two looks of a busy CPU at what waits on others
    static constexpr size_t kMaximumThreads = 32'768;
    /// Where in the table the thread of that number is.
    static size_t position_of(ThreadId id) { return (static_cast<uint32_t>(id) - 1) % kMaximumThreads; }

    [[gnu::cold]] explicit Threads(Kernel& kernel);

    /// Gives the boot CPU what locks need of `%gs`. Once, at boot, before anything that locks.
    void adopt_boot_cpu();
    /// Makes the tables for `cpu_count` CPUs and turns the boot context into the idle thread of CPU 0. `%gs` points to
    /// a Cpu afterwards. After memory is up; `stack_bytes` is the size of every thread's stack. Errors: OutOfMemory.
    Result<void> init(size_t cpu_count, size_t stack_bytes);
    /// Starts the thread that gives back what ended threads leave. Once, from the first thread.
    Result<void> start_reaper();
    /// The idle loop of the calling CPU, on the context on which it was started; it takes part from then on. Preemption
    /// is off when it is entered.
    [[noreturn]] void run_idle();

    // ---- Any thread, preemption on.

    /// Starts a thread at `entry(argument)`; it ends when `entry` returns. Errors: OutOfMemory, OutOfRange (priority).
    Result<ThreadId> create(Text name, void (*entry)(void*), void* argument, ThreadOptions options = {});
    /// Waits for the thread to end; one that does not exist has ended. Errors: TimedOut, Cancelled.
    Result<void> join(ThreadId thread, uint64_t timeout_ns = UINT64_MAX) HELIX_MAY_SLEEP;
    /// Errors: Cancelled.
    Result<void> sleep(uint64_t duration_ns) HELIX_MAY_SLEEP;
    void yield();
    [[noreturn]] void exit();
    /// It runs with `priority` from now on, or with what it inherits if that is higher. Errors: OutOfRange, NotFound.
    [[gnu::cold]] Result<void> set_priority(ThreadId thread, uint32_t priority);
    /// The policy grants a thread of `owner` attributes, which are valid. Errors: NotFound, Busy (it does not).
    Result<void> set_attributes(ThreadId thread, const Owner& owner, const SchedulingAttributes& attributes);
    /// A thread of `owner` runs on `cpus` alone, bit n being CPU n; on any while none of them is online. Errors:
    /// InvalidArgument (the machine has none of them), NotFound, Busy (its reservation finds no room there).
    [[gnu::cold]] Result<void> set_affinity(ThreadId thread, const Owner& owner, uint64_t cpus);
    /// Ends every wait of the threads of `owner` and lets none begin; they end when they reach their gate.
    void cancel_threads_of(Owner& owner);
    /// Takes back from all threads what a hold has lent them.
    void take_back_all();
    /// Ends the waits that threads are in inside `owner`, which was ended or is to be replaced, having called it.
    void end_waits_in(Owner& owner);
    /// Whether a call that `thread` is in has no time to wait: what it called was ended, or is to be replaced.
    static bool wait_is_over(const Thread& thread) {
        const Owner* const inside = thread.waits_in;
        if (inside == nullptr) return false;
        const uint32_t hold = thread.restartable ? inside->hold_number() : 0;
        return inside->is_ended() || (hold != 0 && hold != thread.told_of_hold);
    }
    /// How long a thread stays parked that would go on otherwise: who parks it may wait, in some other module, for this
    /// very thread.
    static constexpr uint64_t kLongestParkNs = 2'000'000'000;
    /// From here on threads of `owner` do not come back from the waits that its code asks for, and those that are not
    /// in one go on until they are. Waits for that. Nobody from outside is in its code. Errors: TimedOut; find_awake
    /// says who it is. To be ended by unpark either way. One thread at a time.
    Result<void> park(Owner& owner, uint64_t deadline_ns) HELIX_MAY_SLEEP;
    /// A thread of `owner` that does not rest, at this moment; null if there is none.
    Thread* find_awake(const Owner& owner);
    /// They go on. Returns how they were parked.
    Parked unpark(Owner& owner);
    /// From here on they go on as soon as a call that the kernel makes into `owner` has to wait.
    void park_once(Owner& owner);
    /// The calling thread, one of a module's own, begins to wait where that module's code asked for it, or has ended.
    void begin_rest(Thread& self) {
        self.rests.store(true, std::memory_order_release);
        std::atomic_signal_fence(std::memory_order_seq_cst);
        if (__builtin_expect(parks(*self.owner), 0)) note_rest();
    }
    /// It is to go on in that code: returns when it may. Preemption on, no lock held.
    void end_rest(Thread& self) {
        self.rests.store(false, std::memory_order_release);
        std::atomic_signal_fence(std::memory_order_seq_cst);
        if (__builtin_expect(parks(*self.owner), 0)) stay_parked(self);
    }
    size_t count_threads_of(const Owner& owner);
    /// Waits until no thread of `owner` is left. Errors: TimedOut.
    Result<void> wait_threads_of(const Owner& owner, uint64_t timeout_ns) HELIX_MAY_SLEEP;
    /// The thread that waits here next gets the console's input; returns when bytes may be there.
    [[gnu::cold]] void wait_console_input() HELIX_MAY_SLEEP;

    // ---- Waiting and waking, for the primitives beside this file.

    /// Blocks the calling thread unless its wake_reason is already set. Preemption count one (the caller's, taken
    /// before it became visible to wakers), no lock held; both hold again on return.
    void block() HELIX_PREEMPTION_OFF;
    /// Ends the wait of `thread` with `reason`; false if another waker was first. Any lock below Cpu may be held.
    bool wake(Thread& thread, WakeReason reason) HELIX_MAY_SPIN;
    Timers& timers() { return timers_; }

    /// Brings the CPU time of whoever runs on `cpu` up to date.
    void take_time_of_current(Cpu& cpu) HELIX_REQUIRES(cpu.lock);

    // ---- For inheritance.hpp, with its lock held.

    Inheritance& inheritance() { return inheritance_; }
    /// Whether `thread` is still `id`, and has not ended.
    bool is_alive(Thread& thread, ThreadId id);
    /// False if `thread` is no longer `id`. What it runs with has to be adjusted.
    [[gnu::cold]] bool set_base_priority(Thread& thread, ThreadId id, uint32_t priority);
    /// Tells the policies, and lets its CPU look for another thread where that may now be due.
    void set_effective_priority(Thread& thread, uint32_t priority);

    // ---- The preemption path; see arch/seam.hpp.

    void on_timer(TrapFrame& frame) HELIX_INTERRUPT;
    void on_interrupt(TrapFrame& frame) HELIX_INTERRUPT;
    void on_watchdog(TrapFrame& frame) HELIX_INTERRUPT;
    void on_console_input() HELIX_INTERRUPT;
    void on_line(TrapFrame& frame, uint32_t line) HELIX_INTERRUPT;
    /// Reached from preempt_enable when the preemption word dropped to zero.
    static void reschedule();
    /// Does what interrupts and wake-ups asked for, and switches if another thread should run. Preemption count
    /// one; the same on return, perhaps on another CPU.
    void preempt() HELIX_PREEMPTION_OFF;

    // ---- Holds: all CPU locks, in order (the hold of a scheduler swap). Preemption off in between.

    void lock_all_cpus() HELIX_ACQUIRE(all_cpu_locks) HELIX_MAY_SPIN;
    void unlock_all_cpus() HELIX_RELEASE(all_cpu_locks);

    // ---- Looking.

    PolicySlot& policy() { return policy_; }
    Cpus& cpus() { return cpus_; }
    size_t cpu_count() const { return cpus_.count(); }
    Cpu& cpu(CpuId id) { return cpus_.cpu(id); }
    [[gnu::cold]] ExecutionStatistics statistics();
    /// What the ruling policy says of a CPU: how many characters of `out`; none if it cannot. Preemption on.
    size_t dump_policy(CpuId id, Span<char> out);
    /// Copies the threads with table positions from `position` on, at most out.size(); returns how many, and moves
    /// `position` behind the last one looked at. Locks one CPU at a time, briefly.
    size_t snapshot(size_t& position, Span<ThreadSnapshot> out);
    /// The thread in whose view of place `place` `view` lies; null unless it is exactly the view of a living one, which
    /// says whose it is. There was a thread.
    Thread* thread_of_view(uint32_t place, const SchedulerThread* view) {
        const uint64_t distance = reinterpret_cast<uint64_t>(view) - reinterpret_cast<uint64_t>(&table_[0].view[place]);
        // From the last entry on, memory may not be there. Whoever goes on with the thread need not wait for the check.
        if (distance > (used() - 1) * sizeof(Thread)) return nullptr;
        if (distance != position_of(view->id) * sizeof(Thread)) return nullptr;
        return reinterpret_cast<Thread*>(reinterpret_cast<uint64_t>(table_) + distance);
    }
    /// Calls `visit` for every living thread under the lock of its CPU; preemptible in between.
    template <typename Visit>
    void for_each_locked(Visit visit) {
        const size_t limit = used();
        for (size_t position = 0; position < limit; ++position) {
            Thread& thread = table_[position];
            with_thread_locked(thread, [&] {
                if (thread.state != ThreadState::Free && thread.state != ThreadState::Ended) visit(thread);
            });
        }
    }
    /// The name of the thread that is or was `id`; empty once another has its place. Locks nothing; any context.
    FixedText<29> name_of(ThreadId id) const;
    /// Turns what arch::cycles said into the time since boot, all by one rate, so that the order stays. Any context.
    struct CycleClock {
        uint64_t boot_cycles;
        uint64_t boot_ns;
        uint64_t ratio;  ///< ns for a cycle, 31 fractional bits
        uint64_t time_ns(uint64_t cycles) const {
            const auto passed = static_cast<unsigned __int128>(cycles > boot_cycles ? cycles - boot_cycles : 0);
            return boot_ns + static_cast<uint64_t>(passed * ratio >> 31);
        }
    };
    CycleClock cycle_clock() const {
        return {boot_cycles_, boot_ns_, __atomic_load_n(&ns_per_cycle_, __ATOMIC_RELAXED)};
    }
    /// A duration on arch::cycles, by the rate seen since boot. Any context.
    uint64_t cycles_to_ns(uint64_t cycles) const {
        const uint64_t ratio = __atomic_load_n(&ns_per_cycle_, __ATOMIC_RELAXED);
        if (__builtin_expect((cycles | ratio) >> 32 == 0, 1)) return cycles * ratio >> 31;
        return static_cast<uint64_t>(static_cast<unsigned __int128>(cycles) * ratio >> 31);
    }

private:
    /// Runs `action` under the lock of the CPU that `thread` belongs to at that moment.
    template <typename Action>
    void with_thread_locked(Thread& thread, Action action) {
        preempt_disable();
        for (;;) {
            Cpu& target = cpu(__atomic_load_n(&thread.cpu, __ATOMIC_ACQUIRE));
            target.lock.acquire();
            if (__atomic_load_n(&thread.cpu, __ATOMIC_RELAXED) == target.local.cpu) {
                action();
                target.lock.release();
                break;
            }
            target.lock.release();
        }
        preempt_enable();
    }
    /// Does `action` with the thread of that number and the CPU that it belongs to, whose lock is held; false if it is
    /// none of `owner` that goes on.
    template <typename Action>
    bool with_thread_of(const Owner& owner, ThreadId id, Action action) {
        Thread* const thread = find(id);
        bool found = false;
        if (thread == nullptr) return false;
        with_thread_locked(*thread, [&] {
            found = thread->id == id && thread->owner == &owner && thread->state != ThreadState::Free &&
                    thread->state != ThreadState::Ended;
            if (found) action(*thread, cpu(thread->cpu));
        });
        return found;
    }
    /// Entries of the table that were ever used. For those who cannot take its lock, which ranks before the CPUs'.
    size_t used() const HELIX_READS_UNLOCKED { return __atomic_load_n(&used_, __ATOMIC_ACQUIRE); }
    Thread* find(ThreadId id);
    Result<Thread*> allocate_thread();
    void release_thread(Thread& thread);
    Thread& pick(Cpu& cpu) HELIX_REQUIRES(cpu.lock);
    uint64_t take_time(Cpu& cpu, Thread& self) HELIX_REQUIRES(cpu.lock);
    void account(Cpu& cpu, Thread& self) HELIX_REQUIRES(cpu.lock);
    void switch_to(Cpu& cpu, Thread& self, Thread& to, TraceSwitch why) HELIX_REQUIRES(cpu.lock);
    /// Switches away from the current thread, whose state was set. Preemption count one.
    void switch_away(Cpu& cpu) HELIX_REQUIRES(cpu.lock);
    /// The same for the current thread where it may go on running: it waits for its turn again.
    [[gnu::noinline]] void give_way(Cpu& cpu, EnqueueReason reason) HELIX_RELEASE(cpu.lock);
    void finish_switch();
    /// The calling thread took `taken.lock` and may have been away since. It holds the lock of the CPU that it is on
    /// now.
    static void release_after_switch([[maybe_unused]] Cpu& taken)
        HELIX_RELEASE(taken.lock) HELIX_NO_THREAD_SAFETY_ANALYSIS {
        this_cpu().lock.release();
    }
    /// `thread` may run: puts it into the queues of `cpu`.
    void make_ready(Cpu& cpu, Thread& thread, EnqueueReason reason, Haste haste = Haste::Now) HELIX_REQUIRES(cpu.lock);
    void preempt_interrupted(TrapFrame& frame);
    void signal_lines(Cpu& cpu) HELIX_PREEMPTION_OFF;
    static void ask_reschedule(Cpu& cpu);

    // timers.cpp
    friend class Timers;
    bool handle_timer(TrapFrame& frame) HELIX_INTERRUPT;
    void program_timer(Cpu& cpu, uint64_t now_ns) HELIX_PREEMPTION_OFF;
    void start_ticks(Cpu& cpu) HELIX_PREEMPTION_OFF;
    bool is_over_budget(TrapFrame& frame) HELIX_INTERRUPT;
    void give_away_deadlines(Cpu& cpu);
    void expire_deadlines(Cpu& cpu, uint64_t now_ns) HELIX_PREEMPTION_OFF;
    // watchdog.cpp
    void ask_to_be_watched(Cpu& cpu) HELIX_PREEMPTION_OFF;
    void begin_to_watch(Cpu& cpu, uint64_t now_ns) HELIX_PREEMPTION_OFF;
    bool watch_ward(Cpu& cpu) HELIX_PREEMPTION_OFF;
    void watch(Cpu& cpu, uint64_t now_ns) HELIX_INTERRUPT;

    // placement.cpp
    Haste haste_of_wakeup(Cpu& cpu);
    CpuId placement_of(const Thread& thread, Haste haste);
    bool place(Cpu& cpu, Thread& thread, EnqueueReason reason, Haste haste) HELIX_REQUIRES(cpu.lock);
    void place_on_its_cpu(Thread& thread, EnqueueReason reason, Haste haste);
    void share_later(Cpu& cpu);
    void share_work(Cpu& cpu, uint64_t now_ns);
    /// A thread became runnable on `cpu`, which has another to run: an idle CPU may take it.
    void wake_idle_cpu(Cpu& cpu) {
        if (cpus_.online() != uint64_t{1} << cpu.local.cpu) interrupt_idle_cpu(cpu);
    }
    void interrupt_idle_cpu(Cpu& cpu);
    bool pull_work(Cpu& cpu, size_t least);
    bool pull_more_urgent(Cpu& cpu);
    void give_away_work(Cpu& cpu);
    [[gnu::cold, gnu::noinline]] void move_misplaced(Cpu& cpu);
    void move_waiting(Cpu& from, Cpu& to, Thread& thread);
    static void sleep_until_interrupt(Cpu& cpu);

    // parking.cpp
    static bool parks(const Owner& owner) { return owner.parks.load(std::memory_order_acquire) != Parked::No; }
    void note_rest();
    void stay_parked(Thread& self);

    void reap();
    static void thread_main(void* thread);
    static void reaper_main(void* threads);
    void renew_cycle_rate();

    Kernel& kernel_;
    PolicySlot policy_{*this};
    Timers timers_{*this};
    uint32_t lines_pending_ = 0;  ///< lines on which interrupts came that nobody was told of; atomic
    uint64_t running_ = 0;        ///< CPUs from their idle thread's first line to its last; atomic
    Inheritance inheritance_{*this};
    Cpus cpus_;
    CpuLocal early_{};  ///< of the boot CPU until it has its area
    size_t stack_pages_ = 4;

    // The table: one reservation, filled from the start, never shrunk.
    SpinLock table_lock_ HELIX_RANK(ThreadTable);
    Thread* table_ = nullptr;                        // entries below used() stay what they are
    size_t used_ HELIX_GUARDED_BY(table_lock_) = 0;  // never falls
    size_t mapped_ HELIX_GUARDED_BY(table_lock_) = 0;
    size_t alive_ HELIX_GUARDED_BY(table_lock_) = 0;
    uint64_t created_ HELIX_GUARDED_BY(table_lock_) = 0;
    ReadyList free_ HELIX_GUARDED_BY(table_lock_);

    WaitQueue ended_{LockRank::Slot};  // joiners; the table is looked at with it locked
    Awaited<uint64_t> rests_;          // how often one began while its module's threads were to park
    Awaited<bool> reap_requested_;
    Awaited<bool> console_input_seen_;
    uint64_t ns_per_cycle_ = 0;  // 31 fractional bits; renewed at ticks, read without a lock
    uint64_t boot_cycles_ = 0;
    uint64_t boot_ns_ = 0;
};

}  // namespace helix::kernel

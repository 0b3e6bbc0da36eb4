// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// PolicySlot: where a scheduling policy is plugged in. One policy rules; a second may be mirrored.
//
// A mirrored policy is told every event and keeps its own queues in its own areas of threads and CPUs, so that it
// can begin to rule at any moment: the swap flips which of the two places rules, under all CPU locks, and costs the
// same however many threads there are. A canary is that on one CPU: there the two change roles, under the lock of that
// CPU alone. If the policy that rules a CPU fails, the kernel's own FIFO answers at once.
#pragma once

#include "helix/interfaces/scheduler.hpp"
#include "kernel/thread/cpu.hpp"
#include "kernel/thread/owner.hpp"

namespace helix::kernel {

class Threads;
struct Owner;
struct PolicyTrial;

class PolicySlot {
public:
    explicit PolicySlot(Threads& threads) : threads_(threads) {}

    // ---- Called by Threads under the lock of `cpu`.

    void enqueue(Cpu& cpu, Thread& thread, EnqueueReason reason) HELIX_REQUIRES(cpu.lock);
    /// Takes the next thread out of the queues; null when there is none.
    Thread* pick(Cpu& cpu) HELIX_REQUIRES(cpu.lock);
    /// Puts `thread`, which runs, into the queues, and takes the next one out, which may be the same. policy_calls.hpp
    Thread& yield(Cpu& cpu, Thread& thread, EnqueueReason reason) HELIX_REQUIRES(cpu.lock);
    /// True if the running thread has to give way.
    bool tick(Cpu& cpu, uint64_t now_ns) HELIX_REQUIRES(cpu.lock);
    bool should_preempt(Cpu& cpu, Thread& woken) HELIX_REQUIRES(cpu.lock);
    void set_current(Cpu& cpu, Thread& thread) HELIX_REQUIRES(cpu.lock) {
        const bool known = thread.kind == ThreadClass::Policy;
        for (uint32_t place = 0; place < Thread::kPolicies; ++place)
            cpu.view[place].current = known ? &thread.view[place] : nullptr;
    }
    /// Takes `thread`, which waits on `from`, to the queues of `to`.
    void migrate(Cpu& from, Cpu& to, Thread& thread) HELIX_REQUIRES(from.lock, to.lock);
    /// Where the policy that rules the thread's CPU would have it wait; not checked. The lock of that CPU held.
    CpuId select_cpu(const Thread& thread, CpuId waker);
    void set_priority(Cpu& cpu, Thread& thread, uint32_t priority) HELIX_REQUIRES(cpu.lock);
    /// `thread`, which ran, leaves `cpu` and is runnable no more.
    void block(Cpu& cpu, Thread& thread) HELIX_REQUIRES(cpu.lock) {
        if (__builtin_expect(((at(0).traits | at(1).traits) & kWantsBlock) != 0, 0)) tell_block(cpu, thread);
    }
    /// Whether the kernel may have `thread` wait on CPU `to` without being told to. The lock of the thread's CPU held.
    bool may_move(const Thread& thread, CpuId to);
    /// Who is to run next on `from`, if the policy orders all CPUs and would have it run on `to` instead of who does.
    Thread* find_more_urgent(Cpu& from, Cpu& to) HELIX_REQUIRES(from.lock, to.lock);
    bool orders_all_cpus(const Cpu& cpu) const HELIX_REQUIRES(cpu.lock) {
        return (at(cpu.ruling).traits & kOrdersAllCpus) != 0;
    }
    /// False: the policy that rules `cpu` cannot grant them, and `thread` keeps those that it has.
    bool set_attributes(Cpu& cpu, Thread& thread, const SchedulingAttributes& wanted) HELIX_REQUIRES(cpu.lock);
    /// `cpu` comes or goes. A canary there is over.
    void cpu_changed(Cpu& cpu, bool online) HELIX_REQUIRES(cpu.lock);
    /// What the policy that rules `cpu` has to say about it: how many characters of `out`.
    size_t dump(Cpu& cpu, Span<char> out) HELIX_REQUIRES(cpu.lock);

    // ---- Called by a transaction; one at a time, preemption on unless said otherwise.

    /// Puts a policy into the free place and lets it follow every event, beginning with a snapshot of what is
    /// runnable. Afterwards it could rule. Errors: Busy (no free place), ModuleFailed (it failed on the way).
    Result<void> mirror(Scheduler* policy, Owner* instance);
    /// The mirrored policy rules all CPUs from now on and the one that ruled becomes the mirror. All CPU locks held.
    void flip() HELIX_REQUIRES(all_cpu_locks);
    /// The mirrored policy may rule: it did before, or does so on one CPU. Set by flip; needed where one is mirrored
    /// again.
    void stand_by();
    /// The mirrored policy rules `cpu` from now on, where the ruling one is the mirror meanwhile.
    void begin_canary(Cpu& cpu) HELIX_REQUIRES(cpu.lock);
    /// Whether `cpu` is ruled by the mirrored policy.
    bool has_canary(const Cpu& cpu) const HELIX_REQUIRES(cpu.lock) { return cpu.ruling != ruling(); }
    /// If the ruling policy failed and the mirrored one stands by, that one rules all CPUs from now on; if a canary
    /// failed, the ruling one rules its CPU again. True if either came to pass.
    bool replace_failed();
    /// When that last came to pass, in cycles.
    uint64_t returned_cycles() const HELIX_READS_UNLOCKED { return returned_cycles_; }
    /// From now on the mirrored policy, which follows every event, is asked whom it would pick, and what is different
    /// is written down in `trial`, until the mirroring ends. What it may not pick is its failure.
    void compare_in(PolicyTrial& trial);
    /// Ends the mirroring, and a canary; the place is free again. Afterwards no CPU is inside that policy.
    void drop_mirror();
    /// Nobody rules any more: the built-in FIFO serves. For the last resort.
    void drop_ruling();

    /// So many ticks may pass from when it could be noticed that a policy breaks a rule until another rules: the
    /// watchdog's budget. Before the first policy is plugged in.
    void set_patience(uint32_t ticks) { patience_ = ticks < kLeastPatience ? kLeastPatience : ticks; }
    /// A call of a policy may take half of that.
    uint32_t call_budget() const { return patience_ / 2; }

    // The one that rules, and the one that is mirrored; on the CPU of a canary they have changed roles.
    bool has_ruling() const { return at(ruling()).instance != &kVacant; }
    bool has_mirror() const HELIX_READS_UNLOCKED { return has_mirror_; }
    /// Null if nobody rules.
    Owner* ruling_instance() const { return has_ruling() ? at(ruling()).instance : nullptr; }
    bool mirror_failed() const { return has_mirror() && !serves(mirrored()); }
    bool ruling_failed() const { return has_ruling() && !serves(ruling()); }
    /// What the mirrored policy counts on `cpu`; compared with the kernel's truth in verify.
    /// Errors: ModuleAbsent, ModuleFailed.
    Result<SchedulerStatistics> mirror_statistics(Cpu& cpu) HELIX_REQUIRES(cpu.lock) {
        return statistics_of(mirrored(), cpu);
    }
    /// Asks the mirrored policy for each waiting thread whether it holds it; locks one CPU at a time, for one thread.
    /// Preemption on. Errors: ModuleAbsent, ModuleFailed, InvalidState (it does not).
    Result<void> self_check_mirror(Text name);

private:
    /// Who is in a place where nobody is: it serves no more than one that failed, and a switch looks once.
    static constexpr Owner kVacant{.ended = 1};
    /// Its size makes finding one a shift.
    struct alignas(32) Place {
        Scheduler* policy = nullptr;
        Owner* instance = const_cast<Owner*>(&kVacant);
        uint32_t traits = 0;  ///< SchedulerTraits
        uint16_t tenant = 0;  ///< of each policy that comes to a place another number, modulo 2^16
    };
    static constexpr auto kWantsBlock = static_cast<uint32_t>(SchedulerTraits::WantsBlock);
    static constexpr auto kWantsTime = static_cast<uint32_t>(SchedulerTraits::WantsTime);
    static constexpr auto kPlacesThreads = static_cast<uint32_t>(SchedulerTraits::PlacesThreads);
    static constexpr auto kOrdersAllCpus = static_cast<uint32_t>(SchedulerTraits::OrdersAllCpus);

    static_assert(Thread::kPolicies == 2);
    static constexpr uint32_t other(uint32_t place) { return place ^ 1; }
    /// Of two places, 1 and 2: a sum costs a switch less than a shift.
    static constexpr uint8_t bit_of(uint32_t place) { return static_cast<uint8_t>(place + 1); }
    template <auto Method, typename... Arguments>
    bool ask(uint32_t place, void* out, Arguments&&... arguments);
    /// The same, out of line and with one gate for all of them, where size matters more: `Method` answers in a word.
    template <auto Method, typename Out, typename... Arguments>
    bool ask_seldom(uint32_t place, Out* out, Arguments&&... arguments);
    static constexpr size_t kWords = 4;
    [[gnu::noinline]] bool ask_words(uint32_t place, uint64_t vtable_offset, const uint64_t (&words)[kWords],
                                     uint64_t& answer);
    /// A rule for policies: in a word, and as a sentence, in which @ stands for the thread.
    struct Rule {
        Text name;
        Text sentence;
    };
    static const Rule kLost;
    /// The policy in `place` broke `rule`, with its method at `method` of the vtable, for `thread` or with it: its
    /// instance has failed.
    [[gnu::cold, gnu::noinline]] void break_rule(uint32_t place, const Rule& rule, uint64_t method,
                                                 const Thread* thread);
    /// The method at `method` of the policy in `place` picked `answer`, in which `thread`, if that is not null, shows
    /// itself.
    [[gnu::cold, gnu::noinline]] void picked_wrongly(uint32_t place, Cpu& cpu, uint64_t method,
                                                     const SchedulerThread* answer, const Thread* thread)
        HELIX_REQUIRES(cpu.lock);
    // policy_watch.cpp
    void look_after_waiting(Cpu& cpu) HELIX_REQUIRES(cpu.lock);
    /// Another is to be watched on `cpu`, or who is may be moved: what was seen of it stays with it.
    static void leave_watch(Cpu& cpu) HELIX_REQUIRES(cpu.lock);
    static bool has_waited_elsewhere(const Thread& thread) { return is_about(thread.vigil, thread); }
    /// Whether `thread` has not run since.
    static bool is_about(const Vigil& vigil, const Thread& thread) {
        return vigil.switches == static_cast<uint32_t>(thread.switches);
    }
    bool holds(Cpu& cpu, Thread& thread) HELIX_REQUIRES(cpu.lock);
    void compare_counts(Cpu& cpu) HELIX_REQUIRES(cpu.lock);
    /// Also tells the policy of the others by enqueue_in_mirror, though it rules.
    bool is_picked_alone(Cpu& cpu, const Thread& thread) HELIX_REQUIRES(cpu.lock);
    void note_time(uint32_t place, Cpu& cpu) HELIX_REQUIRES(cpu.lock) {
        if (__builtin_expect((at(place).traits & kWantsTime) != 0, 0)) tell_time(place, cpu);
    }
    [[gnu::noinline]] void tell_time(uint32_t place, Cpu& cpu) HELIX_REQUIRES(cpu.lock);
    /// Tells the policy in `place`, if it serves.
    void enqueue_in(uint32_t place, Cpu& cpu, Thread& thread, EnqueueReason reason) HELIX_REQUIRES(cpu.lock);
    // Of their own: a gate keeps nothing in registers, and most of the time nobody is mirrored. `place` is the one that
    // does not rule `cpu`.
    [[gnu::noinline]] void enqueue_in_mirror(uint32_t place, Cpu& cpu, Thread& thread, EnqueueReason reason)
        HELIX_REQUIRES(cpu.lock);
    [[gnu::noinline]] void dequeue_in_mirror(uint32_t place, Cpu& cpu, Thread& thread) HELIX_REQUIRES(cpu.lock);
    /// Of the CPU of `thread`, whose lock is held.
    uint32_t ruling_of(const Thread& thread) const HELIX_READS_UNLOCKED;
    bool rule_everywhere() HELIX_REQUIRES(all_cpu_locks);
    void forget_mirror() HELIX_REQUIRES(all_cpu_locks);
    static void let_rule(uint32_t place, Cpu& cpu) HELIX_REQUIRES(cpu.lock) { cpu.ruling = place; }
    TickDecision ask_tick(uint32_t place, Cpu& cpu, uint64_t now_ns) HELIX_REQUIRES(cpu.lock);
    [[gnu::noinline]] void tell_block(Cpu& cpu, Thread& thread) HELIX_REQUIRES(cpu.lock);
    Result<SchedulerStatistics> statistics_of(uint32_t place, Cpu& cpu) HELIX_REQUIRES(cpu.lock);
    /// The thread that the `answer` of the policy in `place` means; null, and that has failed, if it may not run here.
    Thread* validated(uint32_t place, Cpu& cpu, SchedulerThread* answer, uint64_t method) HELIX_REQUIRES(cpu.lock);
    // policy_trial.cpp; a trial is under way
    void compare_pick(Cpu& cpu, const Thread& picked) HELIX_REQUIRES(cpu.lock);
    void compare_tick(Cpu& cpu, bool preempts, bool would_preempt) HELIX_REQUIRES(cpu.lock);
    /// Wherever its instance failed, in this interface or elsewhere: it is not asked again.
    bool serves(uint32_t place) const { return !at(place).instance->is_ended(); }
    /// Whether the policy in `place` serves and is told what happens on a CPU that `rules` rules.
    bool is_told(uint32_t place, uint32_t rules) const { return (place == rules || has_mirror()) && serves(place); }

    // As of now with any CPU lock held, otherwise perhaps of a moment ago.
    uint32_t ruling() const HELIX_READS_UNLOCKED { return ruling_; }
    uint32_t mirrored() const { return other(ruling()); }
    const Place& at(uint32_t place) const HELIX_READS_UNLOCKED { return places_[place]; }
    PolicyTrial* trial() const HELIX_READS_UNLOCKED { return trial_; }

    Threads& threads_;
    Place places_[Thread::kPolicies] HELIX_GUARDED_BY(all_cpu_locks);
    // The place of who rules, or would; each CPU has it too, and where it has the other one there is a canary. Without
    // a mirror there is none.
    uint32_t ruling_ HELIX_GUARDED_BY(all_cpu_locks) = 0;
    uint16_t last_tenant_ HELIX_GUARDED_BY(all_cpu_locks) = 0;
    bool has_mirror_ HELIX_GUARDED_BY(all_cpu_locks) = false;       // who is in the other place is told everything
    bool stands_by_ HELIX_GUARDED_BY(all_cpu_locks) = false;        // the mirror may rule
    PolicyTrial* trial_ HELIX_GUARDED_BY(all_cpu_locks) = nullptr;  // of the mirror
    uint64_t returned_cycles_ HELIX_GUARDED_BY(all_cpu_locks) = 0;
    static constexpr uint32_t kLeastPatience = 10;
    uint32_t patience_ = 100;
};

}  // namespace helix::kernel

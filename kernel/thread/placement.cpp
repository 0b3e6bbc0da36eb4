// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Threads: on which CPU a thread waits for its turn. The policy chooses when a thread becomes runnable; a CPU with
// nothing to do takes what waits elsewhere, and one that leaves gives everything away.

#include "kernel/kernel.hpp"
#include "kernel/thread/threads.hpp"

#include <iterator>

namespace helix::kernel {

namespace {

/// Two CPU locks, taken in the order in which all of them are. Preemption is off around it.
class HELIX_SCOPED_CAPABILITY TwoCpuLocks {
public:
    TwoCpuLocks(Cpu& a, Cpu& b) HELIX_ACQUIRE(a.lock, b.lock) HELIX_NO_THREAD_SAFETY_ANALYSIS
        : first_(a.local.cpu < b.local.cpu ? a : b),
          second_(&first_ == &a ? b : a) {
        first_.lock.acquire();
        second_.lock.acquire();
    }
    ~TwoCpuLocks() HELIX_RELEASE() HELIX_NO_THREAD_SAFETY_ANALYSIS {
        second_.lock.release();
        first_.lock.release();
    }
    TwoCpuLocks(const TwoCpuLocks&) = delete;
    TwoCpuLocks& operator=(const TwoCpuLocks&) = delete;

private:
    Cpu& first_;
    Cpu& second_;
};

constexpr size_t kPullLimit = 16;  // threads looked at under both locks

constexpr uint64_t bit(CpuId id) {
    return uint64_t{1} << id;
}

void note_migration(const Thread& thread, CpuId from, CpuId to, TraceMigration why) {
    Trace::note(TraceKind::Migration, static_cast<uint8_t>(why), static_cast<uint32_t>(thread.id), from, to);
}

}  // namespace

// A thread that wakes another mostly blocks soon, waiting for the answer: then its CPU has time for the other, and an
// idle one need not be interrupted, which costs both more than the wait. So such a woken thread waits on the CPU of its
// waker, until that blocks, kShareNs have passed, or a second one waits there. Each thread is expected to do what it
// did the last time.

/// The calling thread, which runs on `cpu`, wakes another. Preemption off.
Haste Threads::haste_of_wakeup(Cpu& cpu) {
    Thread& waker = *cpu.current;
    if (waker.kind != ThreadClass::Policy || cpu.signals_due || (cpus_.idle() & ~bit(cpu.local.cpu)) == 0)
        return Haste::Now;
    waker.woke_at_cycles = arch::cycles();
    return waker.goes_on ? Haste::Now : Haste::WhenWakerStays;
}

/// A thread may wait on `cpu`, the calling one, for its waker to block. Preemption off.
void Threads::share_later(Cpu& cpu) {
    if (cpu.ready_count == 0 || cpu.share_at_ns != arch::kNever) return;
    const uint64_t now_ns = arch::now_ns();
    __atomic_store_n(&cpu.share_at_ns, now_ns + kShareNs, __ATOMIC_RELAXED);
    program_timer(cpu, now_ns);
}

/// The time for which share_later set the timer of `cpu`, the calling one, has come. Preemption off.
void Threads::share_work(Cpu& cpu, uint64_t now_ns) {
    uint64_t again_ns = arch::kNever;
    if (cpu.ready_count != 0) {
        // There were others between, perhaps: what counts is the waker that runs now, and the last that it woke.
        Thread& waker = *cpu.current;
        const bool woke = waker.woke_at_cycles != 0;
        const uint64_t waited_ns = woke ? cycles_to_ns(arch::cycles() - waker.woke_at_cycles) : kShareNs;
        if (waited_ns < kShareNs) {
            again_ns = now_ns + kShareNs - waited_ns;
        } else {
            waker.goes_on |= woke;
            wake_idle_cpu(cpu);
        }
    }
    __atomic_store_n(&cpu.share_at_ns, again_ns, __ATOMIC_RELAXED);
}

/// Where `thread`, which belongs to a CPU whose lock is held and which only the caller may make runnable, should wait.
CpuId Threads::placement_of(const Thread& thread, Haste haste) {
    const uint64_t online = cpus_.online();
    const uint64_t allowed = online & thread.allowed_cpus();
    if (thread.kind == ThreadClass::Policy && online != bit(thread.cpu)) {
        const CpuId here = current_cpu();
        const CpuId chosen = policy_.select_cpu(thread, here);
        if (chosen < cpu_count() && (allowed & bit(chosen)) != 0) {
            const bool may_wait_here = haste == Haste::WhenWakerStays && (allowed & bit(here)) != 0;
            const bool is_idle = (cpus_.idle() & bit(chosen)) != 0;
            return may_wait_here && is_idle && cpu(here).ready_count == 0 && policy_.may_move(thread, here) ? here
                                                                                                            : chosen;
        }
    }
    if ((allowed & bit(thread.cpu)) != 0) return thread.cpu;
    return static_cast<CpuId>(__builtin_ctzll(allowed != 0 ? allowed : online));
}

/// Makes `thread` runnable if it is to wait on `cpu`, to which it belongs and whose lock is held. Otherwise it belongs
/// to another CPU from now on, and place_on_its_cpu has to follow, without the lock.
bool Threads::place(Cpu& cpu, Thread& thread, EnqueueReason reason, Haste haste) {
    const CpuId chosen = placement_of(thread, haste);
    if (chosen == cpu.local.cpu && !cpu.leaving) {
        thread.state = ThreadState::Runnable;
        make_ready(cpu, thread, reason, haste);
        return true;
    }
    __atomic_store_n(&thread.cpu, chosen, __ATOMIC_RELEASE);
    note_migration(thread, cpu.local.cpu, chosen, TraceMigration::Placed);
    return false;
}

void Threads::place_on_its_cpu(Thread& thread, EnqueueReason reason, Haste haste) {
    for (bool placed = false; !placed;) {
        Cpu& target = cpu(thread.cpu);
        target.lock.acquire();
        if (target.leaving || !thread.is_allowed_on(target.local.cpu)) {
            placed = place(target, thread, reason, haste);
        } else {
            thread.state = ThreadState::Runnable;
            make_ready(target, thread, reason, haste);
            placed = true;
        }
        target.lock.release();
    }
}

/// One other than `cpu`, if there is one.
void Threads::interrupt_idle_cpu(Cpu& cpu) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);  // the thread is counted before the idle CPUs are looked at
    uint64_t idle = cpus_.idle() & cpus_.online() & ~bit(cpu.local.cpu);
    for (; idle != 0; idle &= idle - 1) {
        const auto id = static_cast<CpuId>(__builtin_ctzll(idle));
        if (!cpus_.clear_idle(id)) continue;
        arch::interrupt_cpu(id, arch::CpuInterrupt::Call);
        return;
    }
}

/// Takes threads from the CPU on which the most wait, until both have as many; at least `least` more must wait there.
/// True if it took one. Preemption off, no lock held.
bool Threads::pull_work(Cpu& cpu, size_t least) {
    Cpu* busiest = nullptr;
    size_t most = cpu.ready_count + least - 1;
    for (uint64_t left = cpus_.online() & ~bit(cpu.local.cpu); left != 0; left &= left - 1) {
        Cpu& other = this->cpu(static_cast<CpuId>(__builtin_ctzll(left)));
        const size_t waiting = other.ready_count;
        if (waiting <= most) continue;
        busiest = &other;
        most = waiting;
    }
    if (busiest == nullptr) return false;
    start_ticks(cpu);  // policies will be asked
    const TwoCpuLocks locks(cpu, *busiest);
    // A CPU that is about to leave its idle thread runs its only one itself.
    if (cpu.leaving || (busiest->current->kind == ThreadClass::Idle && busiest->ready_count < 2)) return false;
    bool pulled = false;
    // Those who came last: whoever has waited long keeps its place.
    auto behind = busiest->policy_ready.end();
    for (size_t looked_at = 0; looked_at < kPullLimit && behind != busiest->policy_ready.begin(); ++looked_at) {
        if (busiest->ready_count < cpu.ready_count + least) break;
        const auto last = std::prev(behind);
        if (!policy_.may_move(*last, cpu.local.cpu)) {
            behind = last;
            continue;
        }
        note_migration(*last, busiest->local.cpu, cpu.local.cpu, TraceMigration::Pulled);
        policy_.migrate(*busiest, cpu, *last);
        pulled = true;
    }
    return pulled;
}

/// Where the policy orders all CPUs: takes who would run next on another CPU, and before who runs here. True if it took
/// one. Preemption off, no lock held.
bool Threads::pull_more_urgent(Cpu& cpu) {
    cpu.lock.acquire();
    const bool orders = policy_.orders_all_cpus(cpu);
    cpu.lock.release();
    if (!orders) return false;
    for (uint64_t left = cpus_.online() & ~bit(cpu.local.cpu); left != 0; left &= left - 1) {
        Cpu& other = this->cpu(static_cast<CpuId>(__builtin_ctzll(left)));
        if (other.ready_count == 0) continue;
        const TwoCpuLocks locks(cpu, other);
        if (cpu.leaving || cpu.current->kind != ThreadClass::Policy) return false;
        Thread* const urgent = policy_.find_more_urgent(other, cpu);
        if (urgent == nullptr) continue;
        note_migration(*urgent, other.local.cpu, cpu.local.cpu, TraceMigration::Pulled);
        policy_.migrate(other, cpu, *urgent);
        cpu.give_way = true;
        return true;
    }
    return false;
}

/// Whether `thread` runs or waits on `cpu`, whose lock is held. It may have ended, and be on its way to begin anew:
/// then only its state and its CPU may be looked at.
static bool is_ready_on(const Cpu& cpu, const Thread& thread) {
    const ThreadState state = thread.state;
    return (state == ThreadState::Runnable || state == ThreadState::Running) &&
           __atomic_load_n(&thread.cpu, __ATOMIC_RELAXED) == cpu.local.cpu && thread.kind == ThreadClass::Policy;
}

/// Takes a thread that may not stay on `cpu`, the calling one, to where it is to wait: cpu.misplaced, if it runs or
/// waits here. Where it is the calling thread, this returns when it runs again. Preemption off, no lock held.
void Threads::move_misplaced(Cpu& cpu) {
    const CpuId here = cpu.local.cpu;
    cpu.lock.acquire();
    Thread& thread = *cpu.misplaced;
    cpu.misplaced = nullptr;
    CpuId chosen = here;
    if (is_ready_on(cpu, thread) && !cpu.leaving && !policy_.may_move(thread, here))
        chosen = placement_of(thread, Haste::Now);
    if (chosen != here && thread.state == ThreadState::Running) {
        // It waits until it is off its stack, and the idle thread, which looks at once, takes it away.
        cpu.misplaced = &thread;
        want_reschedule();
        cpu.leaving = cpu.evicts = true;
        return give_way(cpu, EnqueueReason::Preempted);
    }
    cpu.lock.release();
    if (chosen != here) move_waiting(cpu, this->cpu(chosen), thread);
}

/// Takes `thread` to `to` if it waits on `from`; if it runs there by now, `from` looks after it. Preemption off, no
/// lock held.
void Threads::move_waiting(Cpu& from, Cpu& to, Thread& thread) {
    const TwoCpuLocks locks(from, to);
    if (!is_ready_on(from, thread) || to.leaving) return;
    if (thread.state == ThreadState::Running) {
        from.misplaced = &thread;
        return ask_reschedule(from);
    }
    note_migration(thread, from.local.cpu, to.local.cpu, TraceMigration::Placed);
    policy_.migrate(from, to, thread);
    to.give_way |= to.current->kind == ThreadClass::Idle ||
                   (to.current->kind == ThreadClass::Policy && policy_.should_preempt(to, thread));
    if (to.give_way) ask_reschedule(to);
}

Result<void> Threads::set_affinity(ThreadId id, const Owner& owner, uint64_t cpus) {
    if ((cpus & ~uint64_t{0} >> (arch::kMaximumCpus - cpu_count())) == 0)
        return Error(ErrorCode::InvalidArgument, "the machine has none of these CPUs");
    const PreemptionGuard no_preemption;
    bool granted = true;
    Thread* waits = nullptr;  // where it may not
    CpuId from = 0, to = 0;
    const bool found = with_thread_of(owner, id, [&](Thread& thread, Cpu& home) {
        home.lock.assert_held();
        const auto set = [&](uint64_t affinity) {
            for (SchedulerThread& view : thread.view) view.affinity = affinity;
        };
        const uint64_t before = thread.view[0].affinity;
        set(cpus);
        // What it reserves has to be on one of them.
        const SchedulingAttributes attributes = thread.view[0].attributes;
        if (attributes.reserves()) granted = policy_.set_attributes(home, thread, attributes);
        if (!granted) return set(before);
        from = to = home.local.cpu;
        if (!is_ready_on(home, thread) || policy_.may_move(thread, from)) return;
        to = placement_of(thread, Haste::Now);
        if (thread.state == ThreadState::Runnable) {
            waits = &thread;
        } else {
            home.misplaced = &thread;
            ask_reschedule(home);
        }
    });
    if (!found) return ErrorCode::NotFound;
    if (!granted) return Error(ErrorCode::Busy, "the scheduler has no room for its reservation there");
    if (waits != nullptr && to != from) move_waiting(cpu(from), cpu(to), *waits);
    return {};
}

/// Gives away all that waits on `cpu`, which is leaving. Its idle thread; preemption off.
void Threads::give_away_work(Cpu& cpu) {
    // In turn to all that stay, and that it may run on; a policy with an opinion moves them again when they block.
    for (uint64_t left = 0;;) {
        const uint64_t online = cpus_.online();
        cpu.lock.acquire();
        const bool is_kernel = !cpu.kernel_ready.empty();
        Thread* const first = is_kernel                  ? &cpu.kernel_ready.front()
                              : cpu.policy_ready.empty() ? nullptr
                                                         : &cpu.policy_ready.front();
        const uint64_t allowed = first != nullptr ? online & first->allowed_cpus() : 0;
        cpu.lock.release();
        if (first == nullptr) return;
        const uint64_t targets = allowed != 0 ? allowed : online;
        if ((left & targets) == 0) left = targets;
        const auto id = static_cast<CpuId>(__builtin_ctzll(left & targets));
        left &= ~bit(id);
        Cpu& to = this->cpu(id);
        const TwoCpuLocks locks(cpu, to);
        if (is_kernel) {  // nobody else takes these
            cpu.kernel_ready.pop_front();
            note_migration(*first, cpu.local.cpu, id, TraceMigration::GivenAway);
            make_ready(to, *first, EnqueueReason::Migrated);
        } else if (!cpu.policy_ready.empty() && &cpu.policy_ready.front() == first) {
            note_migration(*first, cpu.local.cpu, id, TraceMigration::GivenAway);
            policy_.migrate(cpu, to, *first);
            to.give_way |= to.current->kind == ThreadClass::Idle;
            if (to.give_way) ask_reschedule(to);
        }
    }
}

void Threads::sleep_until_interrupt(Cpu& cpu) {
    __atomic_store_n(&cpu.is_asleep, true, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    arch::idle();
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&cpu.is_asleep, false, __ATOMIC_RELAXED);
}

void Threads::run_idle() {
    Cpu& cpu = this_cpu();  // an idle thread stays on its CPU
    arch::start_interrupts();
    start_ticks(cpu);  // policies will be asked
    cpus_.join(cpu);
    __atomic_fetch_or(&running_, bit(cpu.local.cpu), __ATOMIC_SEQ_CST);
    for (;;) {
        if (cpu.leaving) {
            give_away_work(cpu);
            give_away_deadlines(cpu);
            __atomic_fetch_and(&running_, ~bit(cpu.local.cpu), __ATOMIC_SEQ_CST);
            cpus_.leave(cpu);
        }
        cpus_.set_idle(cpu.local.cpu);
        if (pull_work(cpu, 1)) {
            if (cpu.ready_count > 1) wake_idle_cpu(cpu);  // it runs one of them itself
            want_reschedule();
        } else {
            sleep_until_interrupt(cpu);
        }
        cpus_.clear_idle(cpu.local.cpu);
        preempt_enable();
        preempt_disable();
    }
}

}  // namespace helix::kernel

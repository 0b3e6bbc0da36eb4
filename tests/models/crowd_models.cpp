// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Every primitive with many threads at once, under replay and on real pthreads: what must hold whatever the order.
#include "crowd.hpp"

#include "kernel/thread/condition_variable.hpp"
#include "kernel/thread/event_flag.hpp"
#include "kernel/thread/locked.hpp"
#include "kernel/thread/rw_lock.hpp"
#include "kernel/thread/semaphore.hpp"

#include <atomic>

namespace helix::test {
namespace {

uint64_t read(const uint64_t& counter) {
    return __atomic_load_n(&counter, __ATOMIC_SEQ_CST);
}
void add(uint64_t& counter, uint64_t amount = 1) {
    __atomic_fetch_add(&counter, amount, __ATOMIC_SEQ_CST);
}

/// A time-out that runs out often, seldom or never.
uint64_t some_timeout(KernelRandom& random) {
    switch (random.below(4)) {
        case 0: return 0;
        case 1: return random.below(3'000'000);
        case 2: return random.below(200'000'000);
        default: return kernel::kForever;
    }
}

// ---- Mutexes, taken in ascending order or for a time; priorities change meanwhile.

struct MutexCrowd {
    static constexpr uint32_t kMutexes = 3;
    kernel::Mutex mutexes[kMutexes] = {kernel::Mutex(kernel::LockRank::ModuleChange),
                                       kernel::Mutex(kernel::LockRank::ModuleCall),
                                       kernel::Mutex(kernel::LockRank::SleepingLeaf)};
    uint64_t plain[kMutexes] = {};  // guarded by the mutex of the same number, and not atomic
    uint64_t counted[kMutexes] = {};
    std::atomic<ThreadId> ids[Crowd::kMost] = {};  // members run before the last is known
};

/// Takes some of the mutexes from `first` on, one inside the other.
void take_from(MutexCrowd& shared, Crowd::Member& self, uint32_t first) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    for (uint32_t i = first; i < MutexCrowd::kMutexes; ++i) {
        if (self.random.one_in(2)) continue;
        kernel::Mutex& mutex = shared.mutexes[i];
        const uint64_t timeout_ns = some_timeout(self.random);
        if (timeout_ns == kernel::kForever)
            mutex.lock();
        else if (!mutex.lock_for(timeout_ns))
            return;
        MODEL_CHECK(mutex.held_by_me());
        const uint64_t seen = shared.plain[i];
        linger(self.random);
        take_from(shared, self, i + 1);
        shared.plain[i] = seen + 1;
        add(shared.counted[i]);
        MODEL_CHECK(mutex.held_by_me());
        mutex.unlock();
        MODEL_CHECK(!mutex.held_by_me());
        return;
    }
}

void run_mutex_crowd(const ModelRun& run) {
    static MutexCrowd shared;
    kernel::Threads& threads = run.kernel.threads;
    Crowd crowd(run, 8, &shared, [](Crowd::Member& self) {
        auto& all = *static_cast<MutexCrowd*>(self.shared);
        take_from(all, self, 0);
        kernel::Threads& own = kernel::this_kernel().threads;
        const ThreadId other = all.ids[self.random.below(8)].load(std::memory_order_relaxed);
        if (self.random.one_in(4)) (void)own.set_priority(other, static_cast<uint32_t>(self.random.below(32))).ok();
        MODEL_CHECK(own.inheritance().is_consistent(kernel::current_thread()));
        // It holds nothing and inherits nothing.
        linger(self.random);
    });
    for (uint32_t i = 0; i < 8; ++i) shared.ids[i].store(crowd.id(i), std::memory_order_relaxed);
    crowd.join();
    for (uint32_t i = 0; i < MutexCrowd::kMutexes; ++i) MODEL_CHECK(shared.plain[i] == shared.counted[i]);
    (void)threads;
}
TEST(MutexCrowd, LosesNothingUnderReplay) {
    run_model(run_mutex_crowd, Machines::Replay, "helix-scheduler-priority");
}
TEST(MutexCrowd, LosesNothingOnPthreads) {
    run_model(run_mutex_crowd, Machines::RealTime, "helix-scheduler-priority");
}

// ---- Spin locks: one CPU at a time, and who waits for a while only gives up no earlier.

struct SpinLockCrowd {
    kernel::SpinLock lock{kernel::LockRank::WaitQueue};
    uint64_t plain HELIX_GUARDED_BY(lock) = 0;
    uint64_t counted = 0;
};

void spin(Crowd::Member& self) {
    auto& shared = *static_cast<SpinLockCrowd*>(self.shared);
    const bool for_ever = self.random.one_in(2);
    const uint64_t timeout_ns = self.random.one_in(3) ? 0 : self.random.below(2'000);
    const uint64_t begin_ns = arch::now_ns();
    if (for_ever) {
        shared.lock.lock();
    } else if (!shared.lock.lock_for(timeout_ns)) {
        MODEL_CHECK(arch::now_ns() - begin_ns >= timeout_ns);
        MODEL_CHECK(kernel::may_block());
        return;
    }
    const uint64_t seen = shared.plain;
    for (uint64_t i = self.random.below(4); i > 0; --i) arch::spin_hint();  // others run, elsewhere
    shared.plain = seen + 1;
    shared.lock.unlock();
    add(shared.counted);
    linger(self.random);
}

void run_spin_lock_crowd(const ModelRun& run) {
    static SpinLockCrowd shared;
    const uint64_t expired = kernel::lock_counts(kernel::LockRank::WaitQueue).expired;
    Crowd crowd(run, 8, &shared, spin);
    crowd.join();
    const kernel::SpinLockGuard guard(shared.lock);
    MODEL_CHECK(shared.plain == shared.counted);
    // With one CPU nobody meets a holder. With several on one pthread somebody does not get it in time.
    const bool gave_up = kernel::lock_counts(kernel::LockRank::WaitQueue).expired != expired;
    MODEL_CHECK(run.cpus == 1 ? !gave_up : gave_up || !run.replay || run.steps < 1000);
}
TEST(SpinLockCrowd, ExcludesUnderReplay) {
    run_model(run_spin_lock_crowd, Machines::Replay);
}
TEST(SpinLockCrowd, ExcludesOnPthreads) {
    run_model(run_spin_lock_crowd, Machines::RealTime);
}

// ---- Reader-writer lock: no writer beside anybody, no reader beside a writer.

struct RwLockCrowd {
    kernel::RwLock lock{kernel::LockRank::SleepingLeaf};
    uint64_t first = 0;  // guarded by the lock, not atomic
    uint64_t second = 0;
    uint64_t readers = 0;
    uint64_t writers = 0;
    uint64_t written = 0;
};

void read_or_write(Crowd::Member& self) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    auto& shared = *static_cast<RwLockCrowd*>(self.shared);
    const uint64_t timeout_ns = some_timeout(self.random);
    const bool for_ever = timeout_ns == kernel::kForever;
    if (self.random.one_in(3)) {
        if (for_ever)
            shared.lock.lock();
        else if (!shared.lock.lock_for(timeout_ns))
            return;
        add(shared.writers);
        MODEL_CHECK(read(shared.writers) == 1 && read(shared.readers) == 0);
        ++shared.first;
        linger(self.random);
        ++shared.second;
        add(shared.written);
        add(shared.writers, ~uint64_t{0});
        shared.lock.unlock();
    } else {
        if (for_ever)
            shared.lock.lock_shared();
        else if (!shared.lock.lock_shared_for(timeout_ns))
            return;
        add(shared.readers);
        MODEL_CHECK(read(shared.writers) == 0);
        const uint64_t seen = shared.first;
        linger(self.random);
        MODEL_CHECK(seen == shared.second);
        add(shared.readers, ~uint64_t{0});
        shared.lock.unlock_shared();
    }
    linger(self.random);
}

void run_rw_lock_crowd(const ModelRun& run) {
    static RwLockCrowd shared;
    Crowd crowd(run, 8, &shared, read_or_write);
    crowd.join();
    MODEL_CHECK(shared.first == shared.written && shared.second == shared.written);
}
TEST(RwLockCrowd, KeepsWritersAloneUnderReplay) {
    run_model(run_rw_lock_crowd, Machines::Replay);
}
TEST(RwLockCrowd, KeepsWritersAloneOnPthreads) {
    run_model(run_rw_lock_crowd, Machines::RealTime);
}

// ---- Condition variables: a buffer of four between givers and takers.

struct BufferCrowd {
    static constexpr uint32_t kRoom = 4;
    kernel::Mutex mutex{kernel::LockRank::SleepingLeaf};
    kernel::ConditionVariable not_full;
    kernel::ConditionVariable not_empty;
    uint64_t entries[kRoom] HELIX_GUARDED_BY(mutex) = {};
    uint32_t count HELIX_GUARDED_BY(mutex) = 0;
    uint64_t sum_given = 0;
    uint64_t sum_taken = 0;
    uint64_t givers = 4;
};

void give(BufferCrowd& shared, uint64_t value) {
    kernel::MutexGuard guard(shared.mutex);
    MODEL_CHECK(shared.not_full
                    .wait_until(shared.mutex,
                                [&]() HELIX_NO_THREAD_SAFETY_ANALYSIS { return shared.count < BufferCrowd::kRoom; })
                    .ok());
    shared.entries[shared.count++] = value;
    shared.not_empty.signal_one();
    add(shared.sum_given, value);
}
/// False when nothing comes any more.
bool take(BufferCrowd& shared, uint64_t timeout_ns, bool& timed_out) {
    kernel::MutexGuard guard(shared.mutex);
    const auto ready = [&]() HELIX_NO_THREAD_SAFETY_ANALYSIS { return shared.count != 0 || read(shared.givers) == 0; };
    auto waited = shared.not_empty.wait_until(shared.mutex, ready, timeout_ns);
    timed_out = !waited.ok();
    if (timed_out) return true;
    if (shared.count == 0) return false;
    add(shared.sum_taken, shared.entries[--shared.count]);
    shared.not_full.signal_one();
    return true;
}

void run_buffer_crowd(const ModelRun& run) {
    static BufferCrowd shared;
    Crowd givers(run, 4, &shared, [](Crowd::Member& self) {
        give(*static_cast<BufferCrowd*>(self.shared), 1 + self.random.below(1000));
        linger(self.random);
    });
    // A taker takes until there is nothing more: its steps do not count.
    ModelRun few = run;
    few.steps = 4;
    few.seed += 77;
    Crowd takers(few, 4, &shared, [](Crowd::Member& self) {
        auto& all = *static_cast<BufferCrowd*>(self.shared);
        for (bool timed_out = false; take(all, some_timeout(self.random), timed_out);) linger(self.random);
    });
    givers.join();
    {
        kernel::MutexGuard guard(shared.mutex);
        __atomic_store_n(&shared.givers, 0, __ATOMIC_SEQ_CST);
        shared.not_empty.signal_all();
    }
    takers.join();
    MODEL_CHECK(read(shared.sum_given) == read(shared.sum_taken));
}
TEST(ConditionVariableCrowd, LosesNoSignalUnderReplay) {
    run_model(run_buffer_crowd, Machines::Replay);
}
TEST(ConditionVariableCrowd, LosesNoSignalOnPthreads) {
    run_model(run_buffer_crowd, Machines::RealTime);
}

// ---- Semaphores: time-outs race with signals, and no unit is lost or made up.

struct SemaphoreCrowd {
    kernel::Semaphore semaphore{3};
    uint64_t given = 3;
    uint64_t taken = 0;
};

void run_semaphore_crowd(const ModelRun& run) {
    static SemaphoreCrowd shared;
    Crowd crowd(run, 8, &shared, [](Crowd::Member& self) {
        auto& all = *static_cast<SemaphoreCrowd*>(self.shared);
        // Half of the members give more than they take: nobody waits for ever.
        if (self.number % 2 == 0 || self.random.one_in(4)) {
            add(all.given);
            all.semaphore.signal();
        } else if (all.semaphore.wait(self.random.below(3'000'000)).ok()) {
            add(all.taken);
            MODEL_CHECK(read(all.taken) <= read(all.given));
        }
        linger(self.random);
    });
    crowd.join();
    while (shared.semaphore.wait(0).ok()) add(shared.taken);
    MODEL_CHECK(shared.taken == shared.given);
}
TEST(SemaphoreCrowd, LosesNoUnitUnderReplay) {
    run_model(run_semaphore_crowd, Machines::Replay);
}
TEST(SemaphoreCrowd, LosesNoUnitOnPthreads) {
    run_model(run_semaphore_crowd, Machines::RealTime);
}

// ---- Events: a token goes round by automatic events; nobody misses one.

struct RingCrowd {
    static constexpr uint32_t kMembers = 4;
    kernel::EventFlag turns[kMembers] = {
        kernel::EventFlag(kernel::EventReset::Automatic), kernel::EventFlag(kernel::EventReset::Automatic),
        kernel::EventFlag(kernel::EventReset::Automatic), kernel::EventFlag(kernel::EventReset::Automatic)};
    uint64_t rounds = 0;  // guarded by having the turn
};

void run_ring_crowd(const ModelRun& run) {
    static RingCrowd shared;
    Crowd crowd(run, RingCrowd::kMembers, &shared, [](Crowd::Member& self) {
        auto& all = *static_cast<RingCrowd*>(self.shared);
        while (!all.turns[self.number].wait(some_timeout(self.random)).ok()) linger(self.random);
        MODEL_CHECK(all.rounds++ % RingCrowd::kMembers == self.number);
        linger(self.random);
        all.turns[(self.number + 1) % RingCrowd::kMembers].set();
    });
    shared.turns[0].set();
    crowd.join();
    MODEL_CHECK(shared.rounds == run.steps / RingCrowd::kMembers * RingCrowd::kMembers);
}
TEST(EventFlagCrowd, PassesEveryTurnUnderReplay) {
    run_model(run_ring_crowd, Machines::Replay);
}
TEST(EventFlagCrowd, PassesEveryTurnOnPthreads) {
    run_model(run_ring_crowd, Machines::RealTime);
}

// ---- Sleeps: never too short, and in the order of their ends where those are ticks apart.

void run_sleep_crowd(const ModelRun& run) {
    Crowd crowd(run, 8, nullptr, [](Crowd::Member& self) {
        const uint64_t duration_ns = self.random.below(5'000'000);
        const uint64_t begin_ns = arch::now_ns();
        MODEL_CHECK(kernel::this_kernel().threads.sleep(duration_ns).ok());
        MODEL_CHECK(arch::now_ns() - begin_ns >= duration_ns);
    });
    crowd.join();
}
TEST(SleepCrowd, NobodyWakesEarlyUnderReplay) {
    run_model(run_sleep_crowd, Machines::Replay);
}
TEST(SleepCrowd, NobodyWakesEarlyOnPthreads) {
    run_model(run_sleep_crowd, Machines::RealTime);
}

// ---- Work on each CPU, asked for by several at once, while CPUs come and go.

struct WorkCrowd {
    uint64_t done[arch::kMaximumCpus] = {};
};

void run_work_crowd(const ModelRun& run) {
    static kernel::Locked<uint64_t> calls(kernel::LockRank::SleepingLeaf, uint64_t{0});
    Crowd crowd(run, 6, nullptr, [](Crowd::Member& self) {
        kernel::Cpus& cpus = kernel::this_kernel().threads.cpus();
        WorkCrowd asked;
        const auto work = [](void* argument) {
            MODEL_CHECK(!kernel::may_block());
            add(static_cast<WorkCrowd*>(argument)->done[current_cpu()]);
        };
        switch (self.random.below(8)) {
            case 0: {
                const auto id = static_cast<CpuId>(self.random.below(cpus.count()));
                (void)(self.random.one_in(2) ? cpus.take_offline(id) : cpus.bring_online(id)).ok();
                break;
            }
            case 1: {
                (void)cpus.rendezvous(work, &asked);
                uint64_t sum = 0;
                for (const uint64_t& done : asked.done) sum += read(done);
                MODEL_CHECK(sum == 1);
                break;
            }
            default: {
                cpus.run_on_each(work, &asked);
                MODEL_CHECK(read(asked.done[0]) == 1);  // the boot CPU is always there
                for (const uint64_t& done : asked.done) MODEL_CHECK(read(done) <= 1);
                break;
            }
        }
        calls.with([](uint64_t& count) { ++count; });
        linger(self.random);
    });
    crowd.join();
    MODEL_CHECK(calls.with([](uint64_t& count) { return count; }) == run.steps / 6 * 6);
}
TEST(WorkOnEachCpuCrowd, IsDoneOnceOnEachUnderReplay) {
    run_model(run_work_crowd, Machines::Replay);
}
TEST(WorkOnEachCpuCrowd, IsDoneOnceOnEachOnPthreads) {
    run_model(run_work_crowd, Machines::RealTime);
}

// ---- Holds: while one lasts, no other CPU switches (all locks), or does anything at all (a meeting).

struct HoldCrowd {
    uint64_t progress = 0;
};

uint64_t all_switches(kernel::Threads& threads) {
    uint64_t sum = 0;
    for (CpuId id = 0; id < threads.cpu_count(); ++id)
        sum += __atomic_load_n(&threads.cpu(id).switches, __ATOMIC_SEQ_CST);
    return sum;
}
void look_at_meeting(void* argument) {
    auto& shared = *static_cast<HoldCrowd*>(argument);
    const uint64_t before = read(shared.progress);
    for (int i = 0; i < 200; ++i) arch::spin_hint();  // others would run, elsewhere
    MODEL_CHECK(read(shared.progress) == before);
}
void hold_or_run(Crowd::Member& self) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    auto& shared = *static_cast<HoldCrowd*>(self.shared);
    kernel::Threads& threads = kernel::this_kernel().threads;
    if (self.random.one_in(20)) {
        (void)threads.cpus().rendezvous(look_at_meeting, &shared);
    } else if (self.random.one_in(10)) {
        threads.lock_all_cpus();
        const uint64_t before = all_switches(threads);
        for (int i = 0; i < 200; ++i) arch::spin_hint();
        MODEL_CHECK(all_switches(threads) == before);
        threads.unlock_all_cpus();
    } else if (self.random.one_in(2)) {
        const PreemptionGuard no_preemption;  // a meeting has to wait for it
        for (int i = 0; i < 20; ++i, arch::spin_hint()) add(shared.progress);
    } else {
        for (int i = 0; i < 4; ++i, threads.yield()) add(shared.progress);
    }
    linger(self.random);
}
void run_hold_crowd(const ModelRun& run) {
    static HoldCrowd shared;
    Crowd crowd(run, 8, &shared, hold_or_run);
    crowd.join();
}
TEST(HoldCrowd, NobodyGoesOnMeanwhileUnderReplay) {
    run_model(run_hold_crowd, Machines::Replay);
}
TEST(HoldCrowd, NobodyGoesOnMeanwhileOnPthreads) {
    run_model(run_hold_crowd, Machines::RealTime);
}

// ---- Who asks all CPUs for something does not wait for who asked before and has no answer yet.

struct Askers {
    static constexpr uint64_t kCalls = 3;
    uint64_t is_deaf = 0;
    uint64_t asked = 0;     ///< calls that began
    uint64_t answered = 0;  ///< calls that ended
};
Askers askers;

/// Keeps its CPU, which does nothing that others want meanwhile, until all have begun to ask.
void be_deaf(void*) {
    const PreemptionGuard no_preemption;
    add(askers.is_deaf);
    for (int i = 0; i < 10'000'000 && read(askers.asked) != Askers::kCalls; ++i) arch::spin_hint();
    MODEL_CHECK(read(askers.asked) == Askers::kCalls && read(askers.answered) == 0);
}
void ask_all(void*) {
    kernel::Threads& threads = kernel::this_kernel().threads;
    while (read(askers.is_deaf) == 0) threads.yield();
    kernel::Cpus& cpus = threads.cpus();
    uint64_t done = 0;
    cpus.run_on_each(
        [](void* argument) {
            auto& count = *static_cast<uint64_t*>(argument);
            if (__atomic_fetch_add(&count, 1, __ATOMIC_SEQ_CST) == 0) add(askers.asked);  // on the caller's own CPU
        },
        &done);
    MODEL_CHECK(read(done) == cpus.count());
    add(askers.answered);
}

void run_askers(const ModelRun& run) {
    if (run.cpus == 1) return;
    kernel::Threads& threads = run.kernel.threads;
    auto deaf = threads.create("deaf", be_deaf, nullptr);
    MODEL_CHECK(deaf.ok());
    ThreadId ids[Askers::kCalls];
    for (ThreadId& id : ids) {
        auto created = threads.create("asks", ask_all, nullptr);
        MODEL_CHECK(created.ok());
        id = created.value();
    }
    for (const ThreadId id : ids) MODEL_CHECK(threads.join(id).ok());
    MODEL_CHECK(threads.join(deaf.value()).ok());
    MODEL_CHECK(read(askers.answered) == Askers::kCalls);
}
TEST(WorkOnEachCpu, IsAskedForBySeveralAtOnceUnderReplay) {
    run_model(run_askers, Machines::Replay);
}
TEST(WorkOnEachCpu, IsAskedForBySeveralAtOnceOnPthreads) {
    run_model(run_askers, Machines::RealTime);
}

}  // namespace
}  // namespace helix::test

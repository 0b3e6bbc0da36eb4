// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The moments at which a wait can go wrong, each made on purpose: it is ended before it begins, woken before it blocks,
// woken by who meant an earlier wait, given what it waits for when its time has just run out.
#include "players.hpp"

#include "kernel/thread/condition_variable.hpp"
#include "kernel/thread/event_flag.hpp"
#include "kernel/thread/rw_lock.hpp"

namespace helix::test {
namespace {

enum What : uint32_t {
    kMutex,
    kMutexForLong,
    kWriter,
    kWriterForLong,
    kReader,
    kReaderForLong,
    kCondition,
    kSemaphore,
    kManualEvent,
    kAutomaticEvent,
    kSleep,
    kJoin,
    kKinds
};

/// One thing of each kind to wait for. The locks are held by the main thread, for whom the players wait.
struct Things {
    kernel::Mutex mutex{kernel::LockRank::SleepingLeaf};
    kernel::RwLock lock{kernel::LockRank::SleepingLeaf};
    kernel::Mutex guard{kernel::LockRank::SleepingLeaf};
    kernel::ConditionVariable condition;
    kernel::Semaphore semaphore{0};
    kernel::EventFlag manual{kernel::EventReset::Manual};
    kernel::EventFlag automatic{kernel::EventReset::Automatic};
    kernel::Semaphore may_end{0};
    ThreadId joined = ThreadId::None;

    void start(kernel::Threads& threads) HELIX_NO_THREAD_SAFETY_ANALYSIS {
        auto created = threads.create(
            "joined", [](void* end) { MODEL_CHECK(static_cast<kernel::Semaphore*>(end)->wait().ok()); }, &may_end);
        MODEL_CHECK(created.ok());
        joined = created.value();
        MODEL_CHECK(mutex.lock_for(0) && lock.lock_for(0));
    }
    /// Nobody waits any more.
    void finish(kernel::Threads& threads) HELIX_NO_THREAD_SAFETY_ANALYSIS {
        mutex.unlock();
        lock.unlock();
        may_end.signal();
        MODEL_CHECK(threads.join(joined).ok());
    }
    /// What one player waits for with `what` comes true.
    void give(uint32_t what) HELIX_NO_THREAD_SAFETY_ANALYSIS {
        switch (what) {
            case kMutex:
            case kMutexForLong: mutex.unlock(); break;
            case kWriter:
            case kWriterForLong:
            case kReader:
            case kReaderForLong: lock.unlock(); break;
            case kCondition: condition.signal_one(); break;
            case kSemaphore: semaphore.signal(); break;
            case kManualEvent: manual.set(); break;
            case kAutomaticEvent: automatic.set(); break;
            case kJoin: may_end.signal(); break;
            default: break;
        }
    }
    /// The main thread has again what it gave, and nothing was given too much.
    void take_back(uint32_t what) HELIX_NO_THREAD_SAFETY_ANALYSIS {
        switch (what) {
            case kMutex:
            case kMutexForLong: MODEL_CHECK(mutex.lock_for(0)); break;
            case kWriter:
            case kWriterForLong:
            case kReader:
            case kReaderForLong: MODEL_CHECK(lock.lock_for(0)); break;
            case kManualEvent: manual.reset(); break;
            default: break;
        }
        MODEL_CHECK(!semaphore.wait(0).ok() && !manual.is_set() && !automatic.is_set());
    }
    /// Waits, and gives back at once what it got.
    bool wait(uint32_t what, uint64_t timeout_ns) HELIX_NO_THREAD_SAFETY_ANALYSIS {
        switch (what) {
            case kMutex:
                mutex.lock();
                MODEL_CHECK(mutex.held_by_me());
                mutex.unlock();
                return true;
            case kMutexForLong:
                if (!mutex.lock_for(timeout_ns)) return false;
                MODEL_CHECK(mutex.held_by_me());
                mutex.unlock();
                return true;
            case kWriter: lock.lock(); return lock.unlock(), true;
            case kWriterForLong: return lock.lock_for(timeout_ns) && (lock.unlock(), true);
            case kReader: lock.lock_shared(); return lock.unlock_shared(), true;
            case kReaderForLong: return lock.lock_shared_for(timeout_ns) && (lock.unlock_shared(), true);
            case kCondition: {
                kernel::MutexGuard holds(guard);
                const bool ok = condition.wait(guard, timeout_ns).ok();
                MODEL_CHECK(guard.held_by_me());
                return ok;
            }
            case kSemaphore: return semaphore.wait(timeout_ns).ok();
            case kManualEvent: return manual.wait(timeout_ns).ok();
            case kAutomaticEvent: return automatic.wait(timeout_ns).ok();
            case kJoin: return kernel::this_kernel().threads.join(joined, timeout_ns).ok();
            default: return kernel::this_kernel().threads.sleep(timeout_ns).ok();
        }
    }
};

constexpr bool is_for_ever(uint32_t what) {
    return what == kMutex || what == kWriter || what == kReader;
}

struct Race {
    Things things;
    uint32_t begin = 0;    // atomic: the number of the round that may begin
    uint32_t running = 0;  // atomic: the player waits for it, and runs
};

uint32_t load(uint32_t& number) {
    return __atomic_load_n(&number, __ATOMIC_SEQ_CST);
}

/// `which` 0: waits at once. Otherwise only when the main thread begins that round.
void perform(Player& self) {
    auto& race = *static_cast<Race*>(self.model);
    if (self.order.which != 0) {
        __atomic_store_n(&race.running, self.order.which, __ATOMIC_SEQ_CST);
        while (load(race.begin) != self.order.which) arch::preemption_point();
    }
    self.succeeded = race.things.wait(self.order.what, self.order.timeout_ns);
}
void do_nothing(Player&) {}

/// The things, and a player who waits for them.
struct Scene {
    explicit Scene(const ModelRun& run)
        : threads(run.kernel.threads), players(run.kernel, &race, perform, do_nothing), player(players[0]) {
        things.start(threads);
    }
    /// A player that waits for `what`.
    void begin(uint32_t what, uint64_t timeout_ns) {
        players.start(player, kDefaultPriority);
        players.tell(player, {what, 0, timeout_ns});
        MODEL_CHECK(player.busy);
    }
    /// The player, which was started, is about to wait for `what`, and does so when let_go says so.
    void bring(uint32_t what, uint32_t round, uint64_t timeout_ns) {
        player.order = {what, round, timeout_ns};
        player.succeeded = false;
        player.busy = true;
        player.told.signal();
    }
    bool is_ready() { return load(race.running) == player.order.which; }
    void let_go() { __atomic_store_n(&race.begin, player.order.which, __ATOMIC_SEQ_CST); }
    bool has_it() const { return !player.busy && player.succeeded; }
    void dismiss() {
        players.cancel(player);
        player.succeeded = false;
    }

    kernel::Threads& threads;
    Race race;
    Things& things = race.things;
    Players<1> players;
    Player& player;
};
/// Of this run, which has a process of its own. Too large for a stack.
Scene& scene_of(const ModelRun& run) {
    static Scene scene(run);
    return scene;
}

/// Nobody waits that was cancelled before, but for what it cannot do without.
void run_cancelled_before(const ModelRun& run) {
    Scene& scene = scene_of(run);
    Player& player = scene.player;
    for (uint32_t what = 0; what < kKinds; ++what) {
        scene.players.start(player, kDefaultPriority);
        scene.bring(what, what + 1, kLong);
        while (!scene.is_ready()) MODEL_CHECK(scene.threads.sleep(1).ok());
        player.cancelled = true;
        scene.threads.cancel_threads_of(player.owner);
        scene.let_go();
        if (is_for_ever(what)) {
            scene.players.settle();
            MODEL_CHECK(player.busy);
            scene.things.give(what);
        }
        MODEL_CHECK(scene.threads.wait_threads_of(player.owner, kLong).ok());
        MODEL_CHECK(player.succeeded == is_for_ever(what));
        if (is_for_ever(what)) scene.things.take_back(what);
    }
    scene.things.finish(scene.threads);
}
TEST(WaitRaces, WhoIsCancelledBeforeDoesNotWait) {
    run_model(run_cancelled_before, Machines::Replay);
}

/// Who cancels may be late: the thread that it saw in one wait is in another one by then, that nobody wants to end.
void run_late_cancellation(const ModelRun& run) {
    Scene& scene = scene_of(run);
    Player& player = scene.player;
    for (uint32_t what = 0; what < kKinds; ++what) {
        scene.begin(what, kernel::kForever - 1);
        for (int i = 0; i < 2; ++i) {
            scene.players.wake_by_mistake(player);
            MODEL_CHECK(player.busy);
        }
        scene.things.give(what);
        if (what == kJoin) MODEL_CHECK(scene.threads.join(scene.things.joined).ok());
        scene.players.settle();
        MODEL_CHECK(player.busy == (what == kSleep));
        MODEL_CHECK(player.succeeded == (what != kSleep));
        scene.things.take_back(what);
        scene.dismiss();
    }
    scene.things.finish(scene.threads);
}
TEST(WaitRaces, WhoCancelsLateEndsNoOtherWait) {
    run_model(run_late_cancellation, Machines::Replay);
}

/// The same, and before the thread runs to see that it was a mistake, what it waits for comes: it has it.
void run_late_cancellation_and_gift(const ModelRun& run) {
    Scene& scene = scene_of(run);
    for (uint32_t what = 0; what < kKinds; ++what) {
        if (what == kSleep || what == kJoin) continue;
        scene.begin(what, kLong);
        {
            const PreemptionGuard no_preemption;
            scene.threads.wake(*scene.player.thread, kernel::WakeReason::Cancelled);
            scene.things.give(what);
        }
        scene.players.settle();
        MODEL_CHECK(scene.has_it());
        scene.things.take_back(what);
        scene.dismiss();
    }
    scene.things.finish(scene.threads);
}
TEST(WaitRaces, WhatComesAfterAMistakeIsNotLost) {
    run_model(run_late_cancellation_and_gift, Machines::Replay);
}

/// A time-out that is over when the wait begins takes no time, not even to the next tick: the clock moves only because
/// it is looked at.
void run_over_at_once(const ModelRun& run) {
    if (run.cpus != 1) return;  // elsewhere time passes for other reasons
    // Where others may take their turn in front of each lock, the clock moves there too: that build cannot tell.
#if defined(HELIX_DEBUG_LOCKS)
    constexpr uint64_t kNoTimeNs = UINT64_MAX;
#else
    constexpr uint64_t kNoTimeNs = kernel::Threads::kTickNs / 100;
#endif
    static kernel::Semaphore nothing{0};
    for (int i = 0; i < 20; ++i) {
        const uint64_t begin_ns = arch::now_ns();
        MODEL_CHECK(nothing.wait(0).error().code() == ErrorCode::TimedOut);
        MODEL_CHECK(run.kernel.threads.sleep(0).ok());
        MODEL_CHECK(arch::now_ns() - begin_ns < kNoTimeNs);
    }
}
TEST(WaitRaces, ATimeOutOfZeroTakesNoTime) {
    run_model(run_over_at_once, Machines::Replay);
}

/// What a thread waits for comes when it has said that it waits, but before it sleeps: it does not sleep.
void run_woken_on_the_way(const ModelRun& run) {
    if (run.cpus == 1) return;
    Scene& scene = scene_of(run);
    Player& player = scene.player;
    scene.players.start(player, kDefaultPriority);
    uint32_t caught = 0;
    for (uint32_t round = 1; round <= 10 * kKinds; ++round) {
        const uint32_t what = round % kKinds;
        if (what == kSleep || what == kJoin) continue;
        scene.bring(what, round, kLong);
        // On another CPU, since this thread keeps its own.
        while (!scene.is_ready()) arch::preemption_point();
        {
            const PreemptionGuard no_preemption;
            scene.threads.lock_all_cpus();  // one of them is what it needs in order to sleep
            scene.let_go();
            for (int i = 0; i < 100 && player.thread->wake_reason != kernel::WakeReason::None; ++i) arch::spin_hint();
            caught += player.thread->wake_reason == kernel::WakeReason::None;
            scene.threads.unlock_all_cpus();
            scene.things.give(what);
        }
        scene.players.settle();
        // It may not have waited yet: then there was no signal for it.
        if (what == kCondition && player.busy) scene.things.give(what);
        scene.players.settle();
        MODEL_CHECK(scene.has_it());
        scene.things.take_back(what);
    }
    MODEL_CHECK(caught >= 20 || !run.replay);
    scene.dismiss();
    scene.things.finish(scene.threads);
}
TEST(WaitRaces, WhoIsWokenOnTheWayDoesNotSleepUnderReplay) {
    run_model(run_woken_on_the_way, Machines::Replay);
}
TEST(WaitRaces, WhoIsWokenOnTheWayDoesNotSleepOnPthreads) {
    run_model(run_woken_on_the_way, Machines::RealTime);
}

/// Time runs out and, before the thread runs to see it, what it waits for comes: it has it.
void run_given_at_the_end(const ModelRun& run) {
    if (run.cpus != 1) return;  // elsewhere another CPU runs it
    Scene& scene = scene_of(run);
    for (uint32_t what = 0; what < kKinds; ++what) {
        if (is_for_ever(what) || what == kSleep || what == kJoin) continue;  // who is joined has to run first
        scene.begin(what, kShort);
        scene.players.let_time_run_out(scene.player);
        scene.things.give(what);
        scene.players.settle();
        MODEL_CHECK(scene.has_it());
        scene.things.take_back(what);
        scene.dismiss();
    }
    scene.things.finish(scene.threads);
}
TEST(WaitRaces, WhatComesWithTheTimeOutIsNotLost) {
    run_model(run_given_at_the_end, Machines::Replay);
}

/// The CPU on which a thread began to sleep leaves meanwhile, and does not come back before it has to wake up.
void run_sleep_on_leaving_cpu(const ModelRun& run) {
    if (run.cpus == 1) return;
    Scene& scene = scene_of(run);
    scene.things.finish(scene.threads);  // whoever holds one of these locks may not take a CPU offline
    Player& player = scene.player;
    scene.players.start(player, kDefaultPriority);
    for (uint32_t round = 1; round <= 10; ++round) {
        scene.bring(kSleep, round, kShort);
        // On another CPU, since this thread keeps its own.
        while (!scene.is_ready()) arch::preemption_point();
        scene.let_go();
        while (player.thread->wake_reason != kernel::WakeReason::None) arch::preemption_point();
        const CpuId id = __atomic_load_n(&player.thread->timer_cpu, __ATOMIC_SEQ_CST);
        const bool leaves = id != 0 && scene.threads.cpus().take_offline(id).ok();
        scene.players.wait(2 * kShort);
        MODEL_CHECK(scene.has_it());
        MODEL_CHECK(!leaves || scene.threads.cpus().bring_online(id).ok());
    }
    scene.dismiss();
}
TEST(WaitRaces, WhoSleepsOnACpuThatLeavesWakesUp) {
    run_model(run_sleep_on_leaving_cpu, Machines::Replay);
}

/// A thread that sleeps, on CPU 3, and one that takes that CPU away meanwhile, on CPU 2.
struct HandOver {
    static constexpr uint64_t kSleepNs = 10'000'000;
    kernel::Semaphore may_sleep{0};
    kernel::Semaphore may_take{0};
    kernel::Semaphore woke{0};
    kernel::Semaphore taken{0};
    kernel::Thread* sleeper = nullptr;  // atomic
    uint64_t due_ns = 0;                // atomic
    uint64_t woke_ns = 0;
    uint64_t taken_ns = 0;
};

/// The calling thread goes on on CPU `id`, where it can.
void go_to_cpu(CpuId id) {
    for (SchedulerThread& view : kernel::current_thread().view) view.affinity = uint64_t{1} << id;
    MODEL_CHECK(kernel::this_kernel().threads.sleep(1).ok());
}

void sleep_on_cpu_3(void* argument) {
    auto& over = *static_cast<HandOver*>(argument);
    __atomic_store_n(&over.sleeper, &kernel::current_thread(), __ATOMIC_SEQ_CST);
    while (over.may_sleep.wait().ok()) {
        go_to_cpu(3);
        __atomic_store_n(&over.due_ns, arch::now_ns() + HandOver::kSleepNs, __ATOMIC_SEQ_CST);
        MODEL_CHECK(kernel::this_kernel().threads.sleep(HandOver::kSleepNs).ok());
        over.woke_ns = arch::now_ns();
        over.woke.signal();
    }
}

void take_cpu_3(void* argument) {
    auto& over = *static_cast<HandOver*>(argument);
    while (over.may_take.wait().ok()) {
        go_to_cpu(2);
        // Its sleep sets the reason to None after the time was noted.
        while (__atomic_load_n(&over.due_ns, __ATOMIC_SEQ_CST) == 0 ||
               over.sleeper->wake_reason != kernel::WakeReason::None)
            arch::preemption_point();
        // CPU 0 takes one tick more when it has nothing to do any more, and looks at its deadlines then.
        MODEL_CHECK(kernel::this_kernel().threads.sleep(HandOver::kSleepNs / 2).ok());
        MODEL_CHECK(kernel::this_kernel().threads.cpus().take_offline(3).ok());
        over.taken_ns = arch::now_ns();
        over.taken.signal();
    }
}

/// The same, where the CPU that gets the deadline, CPU 0, has nothing to do, and nothing else interrupts it.
void run_sleep_handed_over(const ModelRun& run) {
    if (run.cpus < 4) return;
    static HandOver over;
    kernel::Threads& threads = run.kernel.threads;
    MODEL_CHECK(threads.create("sleeps", sleep_on_cpu_3, &over, {}).ok());
    MODEL_CHECK(threads.create("takes", take_cpu_3, &over, {}).ok());
    // What others do is for CPU 1: a CPU with two things to do would wake CPU 0 for one of them.
    threads.for_each_locked([](kernel::Thread& thread) {
        for (SchedulerThread& view : thread.view) view.affinity = uint64_t{1} << 1;
    });
    uint32_t handed_over = 0;
    for (int round = 0; round < 20; ++round) {
        __atomic_store_n(&over.due_ns, 0, __ATOMIC_SEQ_CST);
        over.may_sleep.signal();
        over.may_take.signal();
        // In this order: this thread may be CPU 0's.
        MODEL_CHECK(over.woke.wait().ok() && over.taken.wait().ok());
        MODEL_CHECK(over.woke_ns >= over.due_ns);
        if (over.taken_ns < over.due_ns) {
            ++handed_over;
            MODEL_CHECK(over.woke_ns - over.due_ns < 2 * kernel::Threads::kTickNs);
        }
        MODEL_CHECK(threads.cpus().bring_online(3).ok());
    }
    MODEL_CHECK(handed_over >= 5);
}
TEST(WaitRaces, WhoseCpuLeavesIsWokenInTimeByACpuThatSleeps) {
    run_model(run_sleep_handed_over, Machines::Replay);
}

/// Nobody signals, but at the end of the time the condition is true.
void run_true_at_the_end(const ModelRun& run) {
    struct Shared {
        kernel::Mutex guard{kernel::LockRank::SleepingLeaf};
        kernel::ConditionVariable condition;
        uint32_t is_true = 0;  // atomic
    };
    static Shared shared;
    auto created = run.kernel.threads.create(
        "waits",
        [](void*) {
            kernel::MutexGuard holds(shared.guard);
            MODEL_CHECK(
                shared.condition.wait_until(shared.guard, [] { return load(shared.is_true) != 0; }, kShort).ok());
        },
        nullptr);
    MODEL_CHECK(created.ok() && run.kernel.threads.sleep(kShort / 2).ok());
    __atomic_store_n(&shared.is_true, 1, __ATOMIC_SEQ_CST);
    MODEL_CHECK(run.kernel.threads.join(created.value()).ok());
}
TEST(WaitRaces, AConditionIsLookedAtWhenTimeHasRunOut) {
    run_model(run_true_at_the_end, Machines::Replay);
}

/// All who wait for the end of a thread hear of it, and of no other's: its entry of the table is another's then.
void run_joins(const ModelRun& run) {
    constexpr uint32_t kJoiners = 3;
    static Race first, second;
    static Players<kJoiners> players(run.kernel, &first, perform, do_nothing);
    kernel::Threads& threads = run.kernel.threads;
    first.things.start(threads);
    for (uint32_t i = 0; i < kJoiners; ++i) {
        players.start(players[i], kDefaultPriority);
        players.tell(players[i], {kJoin, 0, kLong});
    }
    const ThreadId ended = first.things.joined;
    first.things.give(kJoin);
    MODEL_CHECK(threads.join(ended).ok());
    second.things.start(threads);
    players.settle();
    for (uint32_t i = 0; i < kJoiners; ++i) MODEL_CHECK(!players[i].busy && players[i].succeeded);

    MODEL_CHECK(second.things.joined != ended);
    MODEL_CHECK(threads.join(ended, 0).ok());
    MODEL_CHECK(threads.set_priority(ended, 1).error().code() == ErrorCode::NotFound);
    MODEL_CHECK(threads.join(second.things.joined, kShort).error().code() == ErrorCode::TimedOut);
    first.things.finish(threads);
    second.things.finish(threads);
    for (uint32_t i = 0; i < kJoiners; ++i) players.cancel(players[i]);
}
TEST(WaitRaces, AllWhoJoinHearOfTheEndOnce) {
    run_model(run_joins, Machines::Replay);
}

}  // namespace
}  // namespace helix::test

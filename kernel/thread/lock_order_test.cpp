// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The checks of lock order and context catch what is planted here, each kind of mistake, and nothing that is allowed.

#include "kernel/thread/lock_order.hpp"

#include "kernel/thread/cpu.hpp"
#include "kernel/thread/inheritance.hpp"
#include "kernel/thread/locked.hpp"
#include "kernel/thread/rw_lock.hpp"
#include "tests/unit/fake_port.hpp"

#include <thread>

namespace helix::kernel {
namespace {

/// A CPU on which a thread runs, as far as free locks need one.
class LockOrderTest : public test::KernelTest {
protected:
    LockOrderTest() { cpu.local.thread = &thread; }
    Thread thread;
};
using LockOrderDeathTest = LockOrderTest;

// What the analysis at compile time forbids.
template <typename Lock>
void take(Lock& lock) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    lock.lock();
}
template <typename Lock>
void give(Lock& lock) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    lock.unlock();
}
void take(CpuLock& lock) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    lock.acquire();
}
void give(CpuLock& lock) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    lock.release();
}
bool take_for(Mutex& mutex, uint64_t timeout_ns) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    return mutex.lock_for(timeout_ns);
}

TEST(LockRankTest, EveryRankHasANameAndTheSleepingOnesComeFirst) {
    bool spinning = false;
    for (size_t i = 0; i < kLockRanks; ++i) {
        const auto rank = static_cast<LockRank>(i);
        EXPECT_FALSE(describe(rank).empty());
        for (size_t j = 0; j < i; ++j) EXPECT_FALSE(describe(rank) == describe(static_cast<LockRank>(j)));
        EXPECT_FALSE(spinning && sleeps(rank));
        spinning |= !sleeps(rank);
    }
}

TEST_F(LockOrderTest, WhoHoldsAMutexKnowsIt) {
    Mutex mutex(LockRank::SleepingLeaf);
    EXPECT_FALSE(mutex.held_by_me());
    mutex.lock();
    EXPECT_TRUE(mutex.held_by_me());
    mutex.unlock();
    EXPECT_FALSE(mutex.held_by_me());
    ASSERT_TRUE(take_for(mutex, 0));
    EXPECT_FALSE(take_for(mutex, 0));
    give(mutex);
}

/// Takes `lock` on another CPU while this one holds it, and releases it here once the other is seen to wait.
template <typename Take, typename Give>
void meet(Take take_lock, Give give_lock) {
    take_lock();
    const uint64_t before = test::spin_hint_count;
    std::thread other([&] {
        const test::FakeCpu second(1);
        take_lock();
        give_lock();
    });
    while (test::spin_hint_count == before) std::this_thread::yield();
    give_lock();
    other.join();
}

TEST_F(LockOrderTest, WaitingForASpinLockIsCountedByRank) {
    const auto contended = [](LockRank rank) { return lock_counts(rank).contended; };
    const uint64_t region = contended(LockRank::Region);
    const uint64_t heap = contended(LockRank::Heap);
    const uint64_t cpus = contended(LockRank::Cpu);
    SpinLock lock(LockRank::Region);
    const auto take_lock = [&] { take(lock); };
    const auto give_lock = [&] { give(lock); };
    take_lock();
    give_lock();
    EXPECT_EQ(contended(LockRank::Region), region) << "nobody had to wait";
    meet(take_lock, give_lock);
    EXPECT_EQ(contended(LockRank::Region), region + 1);
    meet(take_lock, give_lock);
    EXPECT_EQ(contended(LockRank::Region), region + 2);

    CpuLock cpu_lock;
    meet(
        [&] {
            preempt_disable();
            take(cpu_lock);
        },
        [&] {
            give(cpu_lock);
            preempt_enable();
        });
    EXPECT_EQ(contended(LockRank::Cpu), cpus + 1);
    EXPECT_EQ(contended(LockRank::Heap), heap) << "another rank's";
}

TEST_F(LockOrderTest, DataInsideItsLockIsReachedWithTheLockHeld) {
    Locked<int, SpinLock> number(LockRank::Heap, 41);
    const int seen = number.with([&](int& value) {
        EXPECT_EQ(cpu.local.preempt_word, kNoRescheduleWanted + 1);
        return ++value;
    });
    EXPECT_EQ(seen, 42);
    EXPECT_EQ(cpu.local.preempt_word, kNoRescheduleWanted);
}

#if defined(HELIX_DEBUG_LOCKS)

TEST_F(LockOrderDeathTest, MutexesGoByRank) {
    Mutex outer(LockRank::ModuleChange);
    Mutex inner(LockRank::ModuleRegistry);
    {
        MutexGuard outer_guard(outer);
        MutexGuard inner_guard(inner);
    }
    MutexGuard guard(inner);
    EXPECT_DEATH(take(outer), "rank ModuleChange taken while rank ModuleRegistry is held");
}

TEST_F(LockOrderDeathTest, TwoMutexesOfOneRankAreNotTakenTogether) {
    Mutex first(LockRank::ModuleCall);
    Mutex second(LockRank::ModuleCall);
    MutexGuard guard(first);
    EXPECT_DEATH(take(second), "rank ModuleCall taken while rank ModuleCall is held");
    EXPECT_DEATH(take(first), "rank ModuleCall taken while rank ModuleCall is held");
}

TEST_F(LockOrderDeathTest, AWaitWithATimeOutMayBeForAnyRankAndIsRecorded) {
    Mutex call(LockRank::ModuleCall);
    Mutex other_call(LockRank::ModuleCall);
    Mutex change(LockRank::ModuleChange);
    MutexGuard guard(call);
    ASSERT_TRUE(take_for(other_call, 1));
    EXPECT_DEATH(take(change), "rank ModuleChange taken while rank ModuleCall is held");
    give(other_call);
}

TEST_F(LockOrderDeathTest, ReaderWriterLocksGoByRankWithMutexes) {
    RwLock outer(LockRank::ModuleChange);
    Mutex inner(LockRank::ModuleRegistry);
    {
        ReadGuard outer_guard(outer);
        MutexGuard inner_guard(inner);
    }
    MutexGuard guard(inner);
    EXPECT_DEATH(take(outer), "rank ModuleChange taken while rank ModuleRegistry is held");
    EXPECT_DEATH([&]() HELIX_NO_THREAD_SAFETY_ANALYSIS { outer.lock_shared(); }(),
                 "rank ModuleChange taken while rank ModuleRegistry is held");
}

TEST_F(LockOrderDeathTest, WhoHoldsASpinLockMayNotSleep) {
    SpinLock spin(LockRank::Heap);
    Mutex mutex(LockRank::SleepingLeaf);
    RwLock shared(LockRank::SleepingLeaf);
    SpinLockGuard guard(spin);
    EXPECT_DEATH(take(mutex), "SleepingLeaf called while a lock of rank Heap is held");
    EXPECT_DEATH((void)take_for(mutex, 0), "SleepingLeaf called while a lock of rank Heap is held");
    EXPECT_DEATH(take(shared), "SleepingLeaf called while a lock of rank Heap is held");
}

TEST_F(LockOrderDeathTest, WhoHoldsACpuLockMayNotSleep) {
    CpuLock lock;
    Mutex mutex(LockRank::SleepingLeaf);
    preempt_disable();
    take(lock);
    EXPECT_DEATH(take(mutex), "SleepingLeaf called while a lock of rank Cpu is held");
    give(lock);
    preempt_enable();
}

TEST_F(LockOrderDeathTest, WithPreemptionOffNobodySleeps) {
    Mutex mutex(LockRank::SleepingLeaf);
    WaitQueue queue;
    preempt_disable();
    EXPECT_DEATH(take(mutex), "SleepingLeaf may sleep, and preemption is off");
    EXPECT_DEATH(queue.wait_until([] { return true; }), "WaitQueue::wait_until may sleep, and preemption is off");
    preempt_enable();
}

TEST_F(LockOrderDeathTest, AnInterruptThatCameUponPreemptionOffTakesNoLock) {
    SpinLock spin(LockRank::Heap);
    Mutex mutex(LockRank::SleepingLeaf);
    mutex.lock();
    preempt_disable();  // what is interrupted
    preempt_disable();  // as the port does before it calls a handler
    {
        const context::Interrupt here;
        EXPECT_DEATH(take(spin), "Heap takes locks, and an interrupt came upon preemption off");
        EXPECT_DEATH(give(mutex), "Mutex::unlock takes locks, and an interrupt came upon preemption off");
        EXPECT_DEATH(context::require_may_spin("this"), "this takes locks, and an interrupt");
    }
    preempt_enable();
    context::require_may_spin("this");  // the handler has ended
    SpinLockGuard guard(spin);
    preempt_enable();
    mutex.unlock();
}

TEST_F(LockOrderDeathTest, AnInterruptThatCameUponPreemptionOnMaySpinAndNeverSleeps) {
    SpinLock spin(LockRank::Heap);
    Mutex mutex(LockRank::SleepingLeaf);
    preempt_disable();
    {
        const context::Interrupt here;
        {
            SpinLockGuard guard(spin);
            // Another one comes upon this one, and its lock.
            preempt_disable();
            {
                const context::Interrupt inner;
                EXPECT_DEATH(context::require_may_spin("this"), "this takes locks, and an interrupt");
            }
            preempt_enable();
        }
        context::require_may_spin("this");
        EXPECT_DEATH(take(mutex), "SleepingLeaf may sleep, and this is an interrupt's handler");
    }
    preempt_enable();
}

TEST_F(LockOrderDeathTest, PartsOfAHandlerBelongIntoOne) {
    EXPECT_DEATH(context::require_interrupt("this"), "this is part of an interrupt's handler");
    EXPECT_DEATH({ const context::Interrupt here; }, "an interrupt's handler needs preemption off");
    preempt_disable();
    {
        const context::Interrupt here;
        context::require_interrupt("this");
    }
    EXPECT_DEATH(context::require_interrupt("this"), "this is part of an interrupt's handler");
    preempt_enable();
}

TEST_F(LockOrderDeathTest, CpuLocksNeedPreemptionOff) {
    CpuLock lock;
    EXPECT_DEATH(take(lock), "needs preemption off");
}

TEST_F(LockOrderDeathTest, CpuLocksStandInTheOrderOfSpinLocks) {
    CpuLock lock;
    SpinLock timer(LockRank::Timer);
    SpinLock heap(LockRank::Heap);
    SpinLock queue(LockRank::WaitQueue);
    {
        SpinLockGuard timer_guard(timer);
        take(lock);
        SpinLockGuard heap_guard(heap);
        EXPECT_DEATH(take(lock), "rank Cpu taken while rank");
        EXPECT_DEATH(take(queue), "rank WaitQueue taken while rank Timer is held");
    }
    preempt_disable();
    EXPECT_DEATH(take(queue), "rank WaitQueue taken while rank Cpu is held");
    give(lock);
    preempt_enable();
    SpinLockGuard guard(heap);
    EXPECT_DEATH(take(lock), "rank Cpu taken while rank Heap is held");
}

TEST_F(LockOrderDeathTest, ACpuLockIsReleasedOnTheCpuThatTookIt) {
    CpuLock lock;
    preempt_disable();
    take(lock);
    EXPECT_DEATH(
        {
            cpu.local.cpu = 1;
            give(lock);
        },
        "rank Cpu released but not held by this CPU");
    give(lock);
    preempt_enable();
}

TEST_F(LockOrderDeathTest, WhatIsNotHeldIsNotReleased) {
    Mutex mutex(LockRank::SleepingLeaf);
    RwLock shared(LockRank::SleepingLeaf);
    EXPECT_DEATH(give(mutex), "rank SleepingLeaf released but not held by this thread");
    EXPECT_DEATH(give(shared), "rank SleepingLeaf released but not held by this thread");
    mutex.lock();
    Thread other;
    cpu.local.thread = &other;
    EXPECT_DEATH(give(mutex), "rank SleepingLeaf released but not held by this thread");
    cpu.local.thread = &thread;
    mutex.unlock();
}

TEST_F(LockOrderDeathTest, WhatIsSaidToBeHeldIsLookedAt) {
    Mutex mutex(LockRank::SleepingLeaf);
    CpuLock lock;
    const auto say = [&]() HELIX_NO_THREAD_SAFETY_ANALYSIS { mutex.assert_held(); };
    const auto say_of_cpu = [&]() HELIX_NO_THREAD_SAFETY_ANALYSIS { lock.assert_held(); };
    EXPECT_DEATH(say(), "rank SleepingLeaf is not held, and should be");
    mutex.lock();
    say();
    mutex.unlock();
    preempt_disable();
    EXPECT_DEATH(say_of_cpu(), "rank Cpu is not held, and should be");
    take(lock);
    say_of_cpu();
    give(lock);
    preempt_enable();
}

TEST_F(LockOrderDeathTest, AThreadDoesNotEndWithALock) {
    Mutex mutex(LockRank::ModuleRegistry);
    mutex.lock();
    EXPECT_DEATH(lock_order::require_no_sleeping("the end"),
                 "the end called while a lock of rank ModuleRegistry is held");
    mutex.unlock();
    lock_order::require_no_sleeping("the end");
}

#endif

}  // namespace
}  // namespace helix::kernel

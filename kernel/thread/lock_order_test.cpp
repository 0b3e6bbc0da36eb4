// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The checks of lock order and context catch what is planted here, each kind of mistake, and nothing that is allowed.

#include "kernel/thread/lock_order.hpp"

#include "kernel/thread/cpu.hpp"
#include "kernel/thread/inheritance.hpp"
#include "kernel/thread/locked.hpp"
#include "kernel/thread/rw_lock.hpp"
#include "tests/unit/fake_port.hpp"

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

TEST_F(LockOrderTest, WaitingForASpinLockIsCountedByRank) {
    const uint64_t before = lock_counts(LockRank::Region).contended;
    SpinLock lock(LockRank::Region);
    {
        SpinLockGuard guard(lock);
    }
    EXPECT_EQ(lock_counts(LockRank::Region).contended, before);
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
    lock.acquire();
    EXPECT_DEATH(take(mutex), "SleepingLeaf called while a lock of rank Cpu is held");
    lock.release();
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

TEST_F(LockOrderDeathTest, CpuLocksNeedPreemptionOff) {
    CpuLock lock;
    EXPECT_DEATH(lock.acquire(), "needs preemption off");
}

TEST_F(LockOrderDeathTest, CpuLocksStandInTheOrderOfSpinLocks) {
    CpuLock lock;
    SpinLock timer(LockRank::Timer);
    SpinLock heap(LockRank::Heap);
    SpinLock queue(LockRank::WaitQueue);
    {
        SpinLockGuard timer_guard(timer);
        lock.acquire();
        SpinLockGuard heap_guard(heap);
        EXPECT_DEATH(lock.acquire(), "rank Cpu taken while rank");
        EXPECT_DEATH(take(queue), "rank WaitQueue taken while rank Timer is held");
    }
    preempt_disable();
    EXPECT_DEATH(take(queue), "rank WaitQueue taken while rank Cpu is held");
    lock.release();
    preempt_enable();
    SpinLockGuard guard(heap);
    EXPECT_DEATH(lock.acquire(), "rank Cpu taken while rank Heap is held");
}

TEST_F(LockOrderDeathTest, ACpuLockIsReleasedOnTheCpuThatTookIt) {
    CpuLock lock;
    preempt_disable();
    lock.acquire();
    EXPECT_DEATH(
        {
            cpu.local.cpu = 1;
            lock.release();
        },
        "rank Cpu released but not held by this CPU");
    lock.release();
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

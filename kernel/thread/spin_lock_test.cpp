// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Spin locks exclude, keep preemption off, and their order is checked in debug builds.

#include "kernel/thread/spin_lock.hpp"
#include "kernel/thread/cpu.hpp"

#include "tests/unit/fake_port.hpp"

#include <thread>

namespace helix::kernel {
namespace {

class SpinLockTest : public test::KernelTest {};
using SpinLockDeathTest = SpinLockTest;

TEST_F(SpinLockTest, KeepsPreemptionOffWhileHeld) {
    SpinLock outer(LockRank::Slot);
    SpinLock inner(LockRank::Pages);
    {
        SpinLockGuard outer_guard(outer);
        EXPECT_EQ(cpu.local.preempt_word, kNoRescheduleWanted + 1);
        SpinLockGuard inner_guard(inner);
        EXPECT_EQ(cpu.local.preempt_word, kNoRescheduleWanted + 2);
    }
    EXPECT_EQ(cpu.local.preempt_word, kNoRescheduleWanted);
}

TEST_F(SpinLockTest, ReschedulesAfterUnlockWhenThatIsWanted) {
    static int calls;
    calls = 0;
    static SpinLock lock(LockRank::Slot);
    cpu.local.reschedule = [] {
        ++calls;
        cpu_local()->preempt_word |= kNoRescheduleWanted;
        SpinLockGuard guard(lock);  // would hang if it were still held
    };
    lock.lock();
    cpu.local.preempt_word &= ~kNoRescheduleWanted;
    lock.unlock();
    EXPECT_EQ(calls, 1);
}

TEST_F(SpinLockTest, TwoCpusNeverHoldItTogether) {
    constexpr uint64_t kRounds = 200'000;
    SpinLock lock(LockRank::Slot);
    uint64_t counter = 0;  // not atomic: that is the point
    auto work = [&] {
        for (uint64_t i = 0; i < kRounds; ++i) {
            SpinLockGuard guard(lock);
            ++counter;
        }
    };
    std::thread other([&] {
        test::FakeCpu second(1);
        work();
    });
    work();
    other.join();
    EXPECT_EQ(counter, 2 * kRounds);
}

TEST_F(SpinLockTest, WhoHasNoTimeGivesUpAndKeepsNothing) {
    SpinLock lock(LockRank::Slot);
    const uint64_t expired = lock_counts(LockRank::Slot).expired;
    std::thread([&] {
        test::FakeCpu second(1);
        if (!lock.try_lock()) return void(ADD_FAILURE() << "nobody holds it");
        std::thread([&] {
            test::FakeCpu third(2);
            EXPECT_FALSE(lock.lock_for(0));
            EXPECT_EQ(third.local.preempt_word, kNoRescheduleWanted);
        }).join();
        lock.unlock();
        if (!lock.lock_for(0)) return void(ADD_FAILURE() << "nobody holds it any more");
        EXPECT_EQ(second.local.preempt_word, kNoRescheduleWanted + 1);
        lock.unlock();
    }).join();
    EXPECT_EQ(lock_counts(LockRank::Slot).expired, expired + 1);
}

#if defined(HELIX_DEBUG_LOCKS)

// The death tests do what the analysis at compile time forbids.
void take(SpinLock& lock) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    lock.lock();
}
void release(SpinLock& lock) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    lock.unlock();
}
void take(CpuLock& lock) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    lock.acquire();
}
void release(CpuLock& lock) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    lock.release();
}

TEST_F(SpinLockDeathTest, TakingAnOuterRankInsideIsAPanicThatNamesBoth) {
    SpinLock pages(LockRank::Pages);
    SpinLock slot(LockRank::Slot);
    SpinLockGuard guard(pages);
    EXPECT_DEATH(take(slot), "rank Slot taken while rank Pages is held");
}

TEST_F(SpinLockDeathTest, TakingTheSameRankTwiceIsAPanic) {
    SpinLock first(LockRank::Heap);
    SpinLock second(LockRank::Heap);
    SpinLockGuard guard(first);
    EXPECT_DEATH(take(second), "rank Heap taken while rank Heap is held");
}

TEST_F(SpinLockDeathTest, CpuLocksGoInAscendingOrder) {
    CpuLock locks[2];
    preempt_disable();
    for (CpuLock& lock : locks) take(lock);
    for (CpuLock& lock : locks) release(lock);
    take(locks[1]);
    EXPECT_DEATH(take(locks[0]), "rank Cpu taken while rank Cpu is held");
    release(locks[1]);
    preempt_enable();
}

TEST_F(SpinLockDeathTest, ReleasingWhatIsNotHeldIsAPanic) {
    SpinLock lock(LockRank::Heap);
    EXPECT_DEATH(release(lock), "released but not held");
}

TEST_F(SpinLockTest, LocksMayBeReleasedInAnyOrder) {
    SpinLock slot(LockRank::Slot);
    SpinLock pages(LockRank::Pages);
    slot.lock();
    pages.lock();
    slot.unlock();
    pages.unlock();
    SpinLockGuard guard(slot);
}

#endif

}  // namespace
}  // namespace helix::kernel

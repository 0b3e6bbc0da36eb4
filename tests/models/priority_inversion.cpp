// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Without inheritance an urgent thread waits for all who are less urgent than itself. With it, only for the holder.
#include "model_kernel.hpp"

#include "kernel/thread/mutex.hpp"
#include "kernel/thread/semaphore.hpp"

namespace helix::test {
namespace {

constexpr uint32_t kChain = 3;  ///< mutexes between the urgent thread and the one that holds all up

/// Thread n holds mutex n and waits for mutex n - 1; the last is urgent and waits for the last mutex.
struct Chain {
    kernel::Mutex mutexes[kChain] = {kernel::Mutex(kernel::LockRank::SleepingLeaf),
                                     kernel::Mutex(kernel::LockRank::ModuleRegistry),
                                     kernel::Mutex(kernel::LockRank::ModuleCall)};
    kernel::Semaphore ready{0};
    kernel::Semaphore go{0};
    bool urgent_done = false;  // atomic
    bool given_up = false;     // atomic
};
Chain chain;
uint32_t next_number = 0;

/// The holder of the first mutex has work to do, and is the least urgent of all.
void hold_first(void*) {
    kernel::MutexGuard guard(chain.mutexes[0]);
    chain.ready.signal();
    MODEL_CHECK(chain.go.wait().ok());
    for (int i = 0; i < 200; ++i) arch::preemption_point();
}
void hold_and_wait(void*) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    const uint32_t number = ++next_number;
    kernel::MutexGuard own(chain.mutexes[number]);
    chain.ready.signal();
    kernel::MutexGuard other(chain.mutexes[number - 1]);
}
void be_urgent(void*) {
    chain.ready.signal();
    kernel::MutexGuard guard(chain.mutexes[kChain - 1]);
    __atomic_store_n(&chain.urgent_done, true, __ATOMIC_SEQ_CST);
}
/// Of middle urgency, with a lot to do: as long as it runs, the less urgent do not.
void compute(void*) {
    for (int i = 0; i < 20'000; ++i) {
        if (__atomic_load_n(&chain.urgent_done, __ATOMIC_SEQ_CST)) return;
        arch::preemption_point();
    }
    __atomic_store_n(&chain.given_up, true, __ATOMIC_SEQ_CST);
}

void run_inversion(const ModelRun& run) {
    kernel::Threads& threads = run.kernel.threads;
    ThreadId ids[kChain + 2];
    uint32_t count = 0;
    const auto start = [&](void (*entry)(void*), uint32_t priority, bool announces) {
        auto created = threads.create("inversion", entry, nullptr, {.priority = priority});
        MODEL_CHECK(created.ok());
        ids[count++] = created.value();
        if (announces) MODEL_CHECK(chain.ready.wait().ok());
    };
    start(hold_first, 2, true);
    for (uint32_t i = 1; i < kChain; ++i) start(hold_and_wait, 2 + i, true);
    start(be_urgent, 28, true);
    // Everybody is where it waits before the one in the middle comes.
    for (uint32_t blocked = 0; blocked != kChain + 1;) {
        blocked = 0;
        MODEL_CHECK(threads.sleep(1).ok());
        threads.for_each_locked([&](kernel::Thread& thread) {
            for (uint32_t i = 0; i < count; ++i)
                blocked += thread.id == ids[i] && thread.state == kernel::ThreadState::Blocked;
        });
    }
    // One on each CPU, so that the holder finds none free.
    for (uint32_t i = 1; i < run.cpus; ++i) {
        auto created = threads.create("middle", compute, nullptr, {.priority = 16});
        MODEL_CHECK(created.ok());
    }
    start(compute, 16, false);
    chain.go.signal();
    for (uint32_t i = 0; i < count; ++i) MODEL_CHECK(threads.join(ids[i]).ok());
    MODEL_CHECK(!__atomic_load_n(&chain.given_up, __ATOMIC_SEQ_CST));
}

TEST(PriorityInversion, IsBoundedByTheHoldersAlong) {
    run_model(run_inversion, Machines::Replay, "helix-scheduler-priority");
}

}  // namespace
}  // namespace helix::test

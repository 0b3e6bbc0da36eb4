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
/// Of middle urgency, with a lot to do: as long as it runs, the less urgent do not. It gives up before the policy lets
/// somebody run for having waited so long: a point is some 60 µs.
void compute(void*) {
    for (int i = 0; i < 5'000; ++i) {
        if (__atomic_load_n(&chain.urgent_done, __ATOMIC_SEQ_CST)) return;
        arch::preemption_point();
    }
    __atomic_store_n(&chain.given_up, true, __ATOMIC_SEQ_CST);
}

void run_inversion(const ModelRun& run) {
    kernel::Threads& threads = run.kernel.threads;
    ThreadId ids[kChain + 2];
    uint32_t count = 0;
    const auto start = [&](void (*entry)(void*), uint32_t priority) {
        auto created = threads.create("inversion", entry, nullptr, {.priority = priority});
        MODEL_CHECK(created.ok());
        ids[count++] = created.value();
    };
    /// Each is where it waits before the next one comes, so that what it brings has to go along the chain.
    const auto start_waiting = [&](void (*entry)(void*), uint32_t priority) {
        start(entry, priority);
        MODEL_CHECK(chain.ready.wait().ok());
        for (uint32_t blocked = 0; blocked != count;) {
            blocked = 0;
            MODEL_CHECK(threads.sleep(1).ok());
            threads.for_each_locked([&](kernel::Thread& thread) {
                for (uint32_t i = 0; i < count; ++i)
                    blocked += thread.id == ids[i] && thread.state == kernel::ThreadState::Blocked;
            });
        }
    };
    start_waiting(hold_first, 2);
    for (uint32_t i = 1; i < kChain; ++i) start_waiting(hold_and_wait, 2 + i);
    start_waiting(be_urgent, 28);
    // One on each CPU, so that the holder finds none free.
    for (uint32_t i = 1; i < run.cpus; ++i) {
        auto created = threads.create("middle", compute, nullptr, {.priority = 16});
        MODEL_CHECK(created.ok());
    }
    start(compute, 16);
    chain.go.signal();
    for (uint32_t i = 0; i < count; ++i) MODEL_CHECK(threads.join(ids[i]).ok());
    MODEL_CHECK(!__atomic_load_n(&chain.given_up, __ATOMIC_SEQ_CST));
}

TEST(PriorityInversion, IsBoundedByTheHoldersAlong) {
    run_model(run_inversion, Machines::Replay, "helix-scheduler-priority");
}

// ---- Changes count at once, not from the next tick on.

bool other_ran = false;  // atomic

ThreadId start_other(uint32_t priority) {
    auto created = kernel::this_kernel().threads.create(
        "other", [](void*) { __atomic_store_n(&other_ran, true, __ATOMIC_SEQ_CST); }, nullptr, {.priority = priority});
    MODEL_CHECK(created.ok());
    MODEL_CHECK(!__atomic_load_n(&other_ran, __ATOMIC_SEQ_CST));  // it waits for a CPU: this one
    return created.value();
}
void set_priority_and_expect_other(ThreadId thread, uint32_t priority) {
    MODEL_CHECK(kernel::this_kernel().threads.set_priority(thread, priority).ok());
    MODEL_CHECK(__atomic_load_n(&other_ran, __ATOMIC_SEQ_CST));
}
void lower_itself(void*) {
    (void)start_other(10);
    set_priority_and_expect_other(kernel::current_thread().id, 5);
}
void raise_the_other(void*) {
    set_priority_and_expect_other(start_other(10), 20);
}
void run_change(const ModelRun& run, void (*entry)(void*)) {
    if (run.cpus != 1) return;  // elsewhere another CPU runs it anyway
    auto created = run.kernel.threads.create("changes", entry, nullptr, {.priority = 15});
    MODEL_CHECK(created.ok() && run.kernel.threads.join(created.value()).ok());
}
TEST(PriorityChange, WhoIsLoweredGivesWayAtOnce) {
    run_model([](const ModelRun& run) { run_change(run, lower_itself); }, Machines::Replay, "helix-scheduler-priority");
}
TEST(PriorityChange, WhoIsRaisedRunsAtOnce) {
    run_model([](const ModelRun& run) { run_change(run, raise_the_other); }, Machines::Replay,
              "helix-scheduler-priority");
}

// ---- A thread of the kernel class goes before all priorities, and who it waits for runs with the highest.

struct KernelWaiter {
    kernel::Mutex mutex{kernel::LockRank::SleepingLeaf};
    kernel::Semaphore held{0};
};
void hold_for_kernel(void* argument) {
    auto& shared = *static_cast<KernelWaiter*>(argument);
    kernel::MutexGuard guard(shared.mutex);
    shared.held.signal();
    const kernel::Thread& self = kernel::current_thread();
    for (int i = 0; self.priority == self.base_priority; ++i)
        MODEL_CHECK(i < 1000 && kernel::this_kernel().threads.sleep(1).ok());
    MODEL_CHECK(self.priority == kPriorityLevels - 1);
}
void run_kernel_waiter(const ModelRun& run) {
    static KernelWaiter shared;
    auto holder = run.kernel.threads.create("holder", hold_for_kernel, &shared, {.priority = 20});
    MODEL_CHECK(holder.ok() && shared.held.wait().ok());
    MODEL_CHECK(kernel::current_thread().kind == kernel::ThreadClass::Kernel);
    {
        kernel::MutexGuard guard(shared.mutex);
    }
    MODEL_CHECK(run.kernel.threads.join(holder.value()).ok());
}
TEST(PriorityInversion, WhoHoldsUpTheKernelRunsWithTheHighest) {
    run_model(run_kernel_waiter, Machines::Replay, "helix-scheduler-priority");
}

}  // namespace
}  // namespace helix::test

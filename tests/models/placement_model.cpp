// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A woken thread waits for its waker to block, but not for one that does not: threads that compute spread over the
// CPUs.
#include "model_kernel.hpp"

#include "kernel/thread/semaphore.hpp"

namespace helix::test {
namespace {

constexpr uint32_t kRounds = 20;
constexpr uint64_t kSliceNs = 10'000'000;  ///< of the policy: nobody gives way before

/// The waker and those that it wakes are as many as there are CPUs, and compute until all of them run.
struct Spreading {
    kernel::Semaphore go{0};
    kernel::Semaphore asked{0};
    kernel::Semaphore answered{0};
    uint32_t arrived = 0;  // atomic
    uint32_t round = 0;    // atomic
};
Spreading spreading;

uint32_t load(uint32_t& number) {
    return __atomic_load_n(&number, __ATOMIC_SEQ_CST);
}

void work(void*) {
    for (uint32_t round = 0; round < kRounds; ++round) {
        MODEL_CHECK(spreading.go.wait().ok());
        __atomic_fetch_add(&spreading.arrived, 1, __ATOMIC_SEQ_CST);
        while (load(spreading.round) == round) arch::preemption_point();
    }
}
void answer(void*) {
    for (uint32_t round = 0; round < kRounds; ++round) {
        MODEL_CHECK(spreading.asked.wait().ok());
        spreading.answered.signal();
    }
}

/// Wakes all workers and goes on; it was never switched away until they ran, and that before its time slice was used.
void wake_and_compute(void* argument) {
    const auto& run = *static_cast<const ModelRun*>(argument);
    kernel::Threads& threads = run.kernel.threads;
    kernel::Thread& self = kernel::current_thread();
    const uint32_t workers = run.cpus - 1;
    for (uint32_t round = 0; round < kRounds; ++round) {
        for (uint32_t blocked = 0; blocked != workers;) {
            MODEL_CHECK(threads.sleep(1).ok());
            blocked = 0;
            threads.for_each_locked([&](kernel::Thread& thread) {
                blocked += thread.name.text() == "worker" && thread.state == kernel::ThreadState::Blocked;
            });
        }
        // It waits for an answer, as it mostly does after it woke somebody.
        spreading.asked.signal();
        MODEL_CHECK(spreading.answered.wait().ok());
        MODEL_CHECK(threads.sleep(1).ok());  // from here on it has a time slice of its own

        const uint64_t switches = self.switches;
        const uint64_t begin_ns = arch::now_ns();
        for (uint32_t i = 0; i < workers; ++i) spreading.go.signal();
        while (load(spreading.arrived) != workers) arch::preemption_point();
        MODEL_CHECK(self.switches == switches);
        MODEL_CHECK(arch::now_ns() - begin_ns < kSliceNs);
        __atomic_store_n(&spreading.arrived, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&spreading.round, round + 1, __ATOMIC_SEQ_CST);
    }
}

void run_spreading(const ModelRun& run) {
    kernel::Threads& threads = run.kernel.threads;
    ThreadId ids[8];
    uint32_t count = 0;
    const auto start = [&](Text name, void (*entry)(void*), void* argument) {
        auto created = threads.create(name, entry, argument);
        MODEL_CHECK(created.ok());
        ids[count++] = created.value();
    };
    for (uint32_t i = 1; i < run.cpus; ++i) start("worker", work, nullptr);
    start("answerer", answer, nullptr);
    start("waker", wake_and_compute, const_cast<ModelRun*>(&run));
    for (uint32_t i = 0; i < count; ++i) MODEL_CHECK(threads.join(ids[i]).ok());
}

TEST(Placement, ThreadsThatComputeSpreadThoughTheirWakerDoesNotBlock) {
    run_model(run_spreading, Machines::Replay);
    run_model(run_spreading, Machines::Replay, "helix-scheduler-priority");
}

}  // namespace
}  // namespace helix::test

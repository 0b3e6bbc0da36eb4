// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A policy that starves a thread is found out though that thread is moved from CPU to CPU all the time.
#include "model_kernel.hpp"

namespace helix::test {
namespace {

constexpr Text kBreaker = "scheduler-rule-breaker";
constexpr uint32_t kWorkers = 6;
constexpr uint64_t kBetweenNs = 30'000'000;    ///< two moves; less than it takes to find somebody starved
constexpr uint64_t kLimitNs = 60'000'000'000;  ///< it takes about half a second

bool stop = false;  // atomic

void work(void*) {
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) arch::preemption_point();
}

/// Moves each worker that waits and did not run since the last look, as a CPU without work would.
void move_who_waits(kernel::Threads& threads, kernel::Thread* const (&workers)[kWorkers], uint64_t (&seen)[kWorkers]) {
    const PreemptionGuard no_preemption;
    kernel::Cpu& first = threads.cpu(0);
    kernel::Cpu& second = threads.cpu(1);
    first.lock.acquire();
    second.lock.acquire();
    for (uint32_t i = 0; i < kWorkers; ++i) {
        kernel::Thread& worker = *workers[i];
        const bool waits = worker.state == kernel::ThreadState::Runnable && worker.switches == seen[i];
        seen[i] = worker.switches;
        if (!waits) continue;
        if (worker.cpu == 0)
            threads.policy().migrate(first, second, worker);
        else
            threads.policy().migrate(second, first, worker);
    }
    second.lock.release();
    first.lock.release();
}

void run_starving(const ModelRun& run) {
    if (run.cpus != 2) return;
    kernel::Kernel& kernel = run.kernel;
    ThreadId ids[kWorkers];
    kernel::Thread* workers[kWorkers] = {};
    uint64_t seen[kWorkers] = {};
    for (ThreadId& id : ids) {
        const auto created = kernel.threads.create("worker", work, nullptr, {.priority = kDefaultPriority + 2});
        MODEL_CHECK(created.ok());
        id = created.value();
    }
    kernel.threads.for_each_locked([&](kernel::Thread& thread) {
        for (uint32_t i = 0; i < kWorkers; ++i)
            if (thread.id == ids[i]) workers[i] = &thread;
    });
    constexpr Text kWay = "starves";
    MODEL_CHECK(
        kernel.modules
            .request(nullptr, kBreaker, "arm", Bytes(reinterpret_cast<const uint8_t*>(kWay.data()), kWay.size()))
            .ok());
    kernel::HistoryRecord record;
    uint64_t last = 0;
    const uint64_t limit_ns = arch::now_ns() + kLimitNs;
    while (record.cause.rule.empty()) {
        MODEL_CHECK(arch::now_ns() < limit_ns);
        MODEL_CHECK(kernel.threads.sleep(kBetweenNs).ok());
        move_who_waits(kernel.threads, workers, seen);
        took_step();
        for (; record.cause.rule.empty() && kernel.modules.history().next(last, record); last = record.id) {
        }
    }
    MODEL_CHECK(record.cause.rule == "starved" && record.from.text().starts_with(kBreaker));
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (const ThreadId id : ids) MODEL_CHECK(kernel.threads.join(id).ok());
}

TEST(Starving, IsFoundThoughTheThreadIsMovedAllTheTime) {
    run_model(run_starving, Machines::Replay, std::string(kBreaker));
}

}  // namespace
}  // namespace helix::test

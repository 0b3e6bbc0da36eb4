// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// thread.switch: from one thread to the other of a pair, through the policy that fills helix.scheduler; beside pairs of
// pthreads on one CPU of the host that wake each other by a pipe and by a futex.
#include "hosted_kernel.hpp"
#include "metric.hpp"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace {

using namespace helix;

constexpr size_t kBatches = 500;
constexpr uint64_t kSwitchesInBatch = 2'000;  // half of them each way

uint64_t switches[kBatches];  // nanoseconds of a batch

void yield_back(void* stop) {
    while (!__atomic_load_n(static_cast<bool*>(stop), __ATOMIC_RELAXED)) kernel::this_kernel().threads.yield();
}

void time_yields(void* stop) {
    kernel::Threads& threads = kernel::this_kernel().threads;
    for (uint64_t& batch : switches) {
        const uint64_t begin = arch::cycles();
        for (uint64_t i = 0; i < kSwitchesInBatch / 2; ++i) threads.yield();
        batch = threads.cycles_to_ns(arch::cycles() - begin);
    }
    __atomic_store_n(static_cast<bool*>(stop), true, __ATOMIC_RELAXED);
}

Result<void> measure(kernel::Kernel& kernel) {
    static bool stop = false;
    const ThreadId other = TRY(kernel.threads.create("other", yield_back, &stop));
    const ThreadId timed = TRY(kernel.threads.create("timed", time_yields, &stop));
    TRY(kernel.threads.join(timed));
    return kernel.threads.join(other);
}

// ---- The peers.

uint64_t now_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

void stay_on_this_cpu() {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof(one), &one);
}

/// Nanoseconds of each batch of `kSwitchesInBatch` switches between two threads; `pass(side)` wakes the other side and
/// waits until that wakes this one.
template <typename Pass>
std::vector<uint64_t> time_pair(Pass pass) {
    constexpr size_t kPeerBatches = 50;
    std::vector<uint64_t> batches(kPeerBatches);
    std::thread pair([&] {
        stay_on_this_cpu();
        std::thread other([&] {
            for (size_t i = 0; i < kPeerBatches * kSwitchesInBatch / 2; ++i) pass(1);
        });
        for (uint64_t& batch : batches) {
            const uint64_t begin = now_ns();
            for (uint64_t i = 0; i < kSwitchesInBatch / 2; ++i) pass(0);
            batch = now_ns() - begin;
        }
        other.join();
    });
    pair.join();
    return batches;
}

std::vector<uint64_t> time_pipe() {
    int pipes[2][2];
    if (pipe(pipes[0]) != 0 || pipe(pipes[1]) != 0) exit(125);
    return time_pair([&](int side) {
        char byte = 0;
        // Side 0 begins; side 1 waits first.
        if (side == 0) {
            if (write(pipes[0][1], &byte, 1) != 1 || read(pipes[1][0], &byte, 1) != 1) exit(125);
        } else {
            if (read(pipes[0][0], &byte, 1) != 1 || write(pipes[1][1], &byte, 1) != 1) exit(125);
        }
    });
}

std::vector<uint64_t> time_futex() {
    static std::atomic<uint32_t> turn{0};
    return time_pair([&](int side) {
        const auto futex = [&](int operation, uint32_t value) {
            syscall(SYS_futex, &turn, operation | FUTEX_PRIVATE_FLAG, value, nullptr, nullptr, 0);
        };
        const auto wait_for = [&](uint32_t wanted) {
            while (turn.load() != wanted) futex(FUTEX_WAIT, 1 - wanted);
        };
        const auto give = [&](uint32_t to) {
            turn.store(to);
            futex(FUTEX_WAKE, 1);
        };
        if (side == 0) {
            give(1);
            wait_for(0);
        } else {
            wait_for(1);
            give(0);
        }
    });
}

std::vector<uint64_t> for_each(std::vector<uint64_t> batches) {
    for (uint64_t& batch : batches) batch = (batch + kSwitchesInBatch / 2) / kSwitchesInBatch;
    return batches;
}

}  // namespace

int main(int argument_count, char** arguments) {
    if (benchmark::only_lists(argument_count, arguments, {"thread.switch"})) return 0;
    const std::vector<uint64_t> pipes = time_pipe();
    const std::vector<uint64_t> futexes = time_futex();
    if (!benchmark::run_in_kernel({}, measure)) return 1;
    benchmark::print_metric("thread.switch", "ns", for_each({switches, switches + kBatches}),
                            {{"pthread-pipe", for_each(pipes)}, {"pthread-futex", for_each(futexes)}});
    return 0;
}

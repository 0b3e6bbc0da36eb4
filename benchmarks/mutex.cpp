// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// mutex.uncontended: locking and unlocking a mutex that nobody else wants, beside std::mutex in the same process.
#include "hosted_kernel.hpp"
#include "metric.hpp"

#include "kernel/thread/mutex.hpp"

#include <mutex>

namespace {

using namespace helix;

constexpr size_t kBatches = 500;
constexpr uint64_t kPairsInBatch = 20'000;

uint64_t own[kBatches];  // nanoseconds of a batch
uint64_t peers[kBatches];

kernel::Mutex own_mutex(kernel::LockRank::SleepingLeaf);
std::mutex peer_mutex;

/// Calls neither inlines the other's caller nor keeps anything in registers across a pair.
template <typename Lock>
__attribute__((noinline)) uint64_t time_batch(kernel::Threads& threads, Lock& mutex) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    const uint64_t begin = arch::cycles();
    for (uint64_t i = 0; i < kPairsInBatch; ++i) {
        mutex.lock();
        asm volatile("" ::: "memory");
        mutex.unlock();
    }
    return threads.cycles_to_ns(arch::cycles() - begin);
}

Result<void> measure(kernel::Kernel& kernel) {
    for (size_t i = 0; i < kBatches; ++i) {
        own[i] = time_batch(kernel.threads, own_mutex);
        // An uncontended std::mutex makes no system call; nobody else here uses it, so a tick in between does no harm.
        peers[i] = time_batch(kernel.threads, peer_mutex);
    }
    return {};
}

std::vector<double> for_each(const uint64_t (&batches)[kBatches]) {
    std::vector<double> pairs(kBatches);
    for (size_t i = 0; i < kBatches; ++i)
        pairs[i] = static_cast<double>(batches[i]) / static_cast<double>(kPairsInBatch);
    return pairs;
}

}  // namespace

int main(int argument_count, char** arguments) {
    if (benchmark::only_lists(argument_count, arguments, {"mutex.uncontended"})) return 0;
    // A process with one thread would get a cheaper std::mutex: this one has the CPU's pthread beside it.
    if (!benchmark::run_in_kernel({}, measure)) return 1;
    benchmark::print_metric<double>("mutex.uncontended", "ns", for_each(own), {{"std::mutex", for_each(peers)}});
    return 0;
}

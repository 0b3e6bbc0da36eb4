// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// hold.locks, hold.rendezvous, hold.grace: how long two busy CPUs are held, by all their locks and by a meeting, and
// how long a grace period lasts, which holds nobody. clock.read: how long it takes to look at the clock.
#include "holds.hpp"
#include "hosted_kernel.hpp"
#include "metric.hpp"

#include <algorithm>

namespace {

using namespace helix;

constexpr size_t kHolds = 10'000;
constexpr uint32_t kCpus = 2;
constexpr size_t kBusyThreads = 4;

uint64_t clock_reads[kHolds];
uint64_t lock_holds[kHolds];
uint64_t meetings[kHolds];
uint64_t grace_periods[kHolds];
bool stop_burning = false;

void burn(void*) {
    while (!__atomic_load_n(&stop_burning, __ATOMIC_RELAXED)) arch::preemption_point();
}

/// What a measurement adds to what it measures, in cycles: the median of one that measures nothing.
uint64_t clock_read(kernel::Threads& threads) {
    for (uint64_t& read : clock_reads) {
        const uint64_t begin = arch::cycles();
        read = arch::cycles() - begin;
    }
    std::ranges::nth_element(clock_reads, clock_reads + kHolds / 2);
    const uint64_t median = clock_reads[kHolds / 2];
    for (uint64_t& read : clock_reads) read = threads.cycles_to_ns(read);
    return median;
}

Result<void> measure(kernel::Kernel& kernel) {
    kernel::Threads& threads = kernel.threads;
    if (threads.cpus().online() != (1u << kCpus) - 1) return Error(ErrorCode::InvalidState, "two CPUs are needed");
    const uint64_t added = clock_read(threads);
    ThreadId busy[kBusyThreads];
    for (ThreadId& thread : busy) thread = TRY(threads.create("busy", burn, nullptr));
    TRY(threads.sleep(20'000'000));
    for (size_t i = 0; i < kHolds; ++i) {
        const uint64_t hold = benchmark::lock_hold(threads);
        lock_holds[i] = threads.cycles_to_ns(hold > added ? hold - added : 0);
        meetings[i] = threads.cycles_to_ns(benchmark::rendezvous(threads));
        grace_periods[i] = threads.cycles_to_ns(benchmark::grace_period(threads));
        if (i % 100 == 0) TRY(threads.sleep(1'000'000));  // the busy threads run here too
    }
    __atomic_store_n(&stop_burning, true, __ATOMIC_RELAXED);
    for (ThreadId thread : busy) TRY(threads.join(thread));
    return {};
}

}  // namespace

int main(int argument_count, char** arguments) {
    if (benchmark::only_lists(argument_count, arguments, {"clock.read", "hold.locks", "hold.rendezvous", "hold.grace"}))
        return 0;
    if (!benchmark::run_in_kernel({}, measure, kCpus)) return 1;
    benchmark::print_metric("clock.read", "ns", {clock_reads, clock_reads + kHolds});
    benchmark::print_metric("hold.locks", "ns", {lock_holds, lock_holds + kHolds});
    benchmark::print_metric("hold.rendezvous", "ns", {meetings, meetings + kHolds});
    benchmark::print_metric("hold.grace", "ns", {grace_periods, grace_periods + kHolds});
    return 0;
}

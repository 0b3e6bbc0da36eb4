// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// hold.locks, hold.rendezvous, hold.grace: how long two busy CPUs are held, by all their locks and by a meeting, and
// how long a grace period lasts, which holds nobody.
#include "holds.hpp"
#include "hosted_kernel.hpp"
#include "metric.hpp"

namespace {

using namespace helix;

constexpr size_t kHolds = 10'000;
constexpr uint32_t kCpus = 2;
constexpr size_t kBusyThreads = 4;

uint64_t lock_holds[kHolds];
uint64_t meetings[kHolds];
uint64_t grace_periods[kHolds];
bool stop_burning = false;

void burn(void*) {
    while (!__atomic_load_n(&stop_burning, __ATOMIC_RELAXED)) arch::preemption_point();
}

Result<void> measure(kernel::Kernel& kernel) {
    kernel::Threads& threads = kernel.threads;
    if (threads.cpus().online() != (1u << kCpus) - 1) return Error(ErrorCode::InvalidState, "two CPUs are needed");
    ThreadId busy[kBusyThreads];
    for (ThreadId& thread : busy) thread = TRY(threads.create("busy", burn, nullptr));
    TRY(threads.sleep(20'000'000));
    for (size_t i = 0; i < kHolds; ++i) {
        lock_holds[i] = threads.cycles_to_ns(benchmark::lock_hold(threads));
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
    if (benchmark::only_lists(argument_count, arguments, {"hold.locks", "hold.rendezvous", "hold.grace"})) return 0;
    if (!benchmark::run_in_kernel({}, measure, kCpus)) return 1;
    benchmark::print_metric("hold.locks", "ns", {lock_holds, lock_holds + kHolds});
    benchmark::print_metric("hold.rendezvous", "ns", {meetings, meetings + kHolds});
    benchmark::print_metric("hold.grace", "ns", {grace_periods, grace_periods + kHolds});
    return 0;
}

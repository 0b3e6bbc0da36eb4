// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// hold.N.locks.native, hold.N.rendezvous.native, hold.N.grace.native: how long N hosted CPUs are held that have nothing
// to do, each in a process of its own. hold_instructions.cpp counts the same in instructions.
#include "holds.hpp"
#include "hosted_kernel.hpp"
#include "metric.hpp"

#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace helix;

constexpr uint32_t kCpus[] = {2, 4, 8, 16, 32, 64};
constexpr size_t kHolds = 200;
/// Until all CPUs but this one sleep, without a tick.
constexpr uint64_t kQuietNs = 3'000'000;

uint64_t lock_holds[kHolds];
uint64_t meetings[kHolds];
uint64_t grace_periods[kHolds];

Result<void> measure(kernel::Kernel& kernel) {
    kernel::Threads& threads = kernel.threads;
    for (size_t i = 0; i < kHolds; ++i) {
        TRY(threads.sleep(kQuietNs));
        lock_holds[i] = threads.cycles_to_ns(benchmark::lock_hold(threads));
        TRY(threads.sleep(kQuietNs));
        meetings[i] = threads.cycles_to_ns(benchmark::rendezvous(threads));
        TRY(threads.sleep(kQuietNs));
        grace_periods[i] = threads.cycles_to_ns(benchmark::grace_period(threads));
    }
    return {};
}

/// Boots a kernel of so many CPUs, measures and prints. Once in a process.
bool measure_cpus(uint32_t cpus) {
    if (!benchmark::run_in_kernel({}, measure, cpus)) return false;
    const auto print = [&](const char* hold, const uint64_t(&samples)[kHolds]) {
        const std::string name = "hold." + std::to_string(cpus) + "." + hold + ".native";
        benchmark::print_metric(name.c_str(), "ns", {samples, samples + kHolds});
    };
    print("locks", lock_holds);
    print("grace", grace_periods);
    print("rendezvous", meetings);
    return fflush(stdout) == 0;
}

}  // namespace

int main(int argument_count, char** arguments) {
    if (benchmark::only_lists(
            argument_count, arguments,
            {"hold.2.locks.native", "hold.2.grace.native", "hold.2.rendezvous.native", "hold.4.locks.native",
             "hold.4.grace.native", "hold.4.rendezvous.native", "hold.8.locks.native", "hold.8.grace.native",
             "hold.8.rendezvous.native", "hold.16.locks.native", "hold.16.grace.native", "hold.16.rendezvous.native",
             "hold.32.locks.native", "hold.32.grace.native", "hold.32.rendezvous.native", "hold.64.locks.native",
             "hold.64.grace.native", "hold.64.rendezvous.native"}))
        return 0;
    for (const uint32_t cpus : kCpus) {
        const pid_t child = fork();
        if (child == 0) _exit(measure_cpus(cpus) ? 0 : 1);
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) return 1;
    }
    return 0;
}

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// scheduler.swap.pause: how long two CPUs are held while the scheduler is swapped under ten thousand threads.
#include "hosted_kernel.hpp"
#include "metric.hpp"

namespace {

using namespace helix;

constexpr size_t kSwaps = 500;
constexpr uint64_t kBetweenNs = 2'000'000;  // the workload runs on in between

uint64_t pauses[kSwaps];

Result<void> measure(kernel::Kernel& kernel) {
    constexpr Text kPolicies[] = {"helix-scheduler-priority", "helix-scheduler-round-robin"};
    TRY(kernel.modules.load("helix-workload"));
    const Response started = TRY(kernel.modules.request(nullptr, "helix-workload", "start", as_bytes(Text("10000"))));
    if (!started.is_ok()) return Error(ErrorCode::InvalidState, started.sentence());
    uint64_t seen = 0;
    for (size_t i = 0; i < kSwaps; ++i) {
        TRY(kernel.threads.sleep(kBetweenNs));
        TRY(kernel.modules.swap("helix.scheduler", kPolicies[i % 2]));
        kernel::HistoryRecord record;
        if (!kernel.modules.history().next(seen, record) || record.result != kernel::TransactionResult::Committed)
            return Error(ErrorCode::InvalidState, "a swap left no record that it was committed");
        seen = record.id;
        pauses[i] = record.pause_ns;
    }
    const Response check = TRY(kernel.modules.request(nullptr, "helix-workload", "check", {}));
    if (!check.is_ok()) return Error(ErrorCode::InvalidState, check.sentence());
    return {};
}

}  // namespace

int main(int argument_count, char** arguments) {
    if (benchmark::only_lists(argument_count, arguments, {"scheduler.swap.pause"})) return 0;
    benchmark::KernelOptions options;
    options.cpus = 2;
    options.memory_mb = 1024;
    if (!benchmark::run_in_kernel({"helix-workload", "helix-scheduler-priority"}, measure, options)) return 1;
    benchmark::print_metric("scheduler.swap.pause", "ns", {pauses, pauses + kSwaps});
    return 0;
}

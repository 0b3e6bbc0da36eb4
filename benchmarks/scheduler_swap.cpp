// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// scheduler.swap.pause, scheduler.swap.pause.1000: how long two CPUs are held while the scheduler is swapped under ten
// thousand threads, and under one thousand.
#include "hosted_kernel.hpp"
#include "metric.hpp"

namespace {

using namespace helix;

constexpr size_t kSwaps = 500;
constexpr uint64_t kBetweenNs = 2'000'000;  // the workload runs on in between

uint64_t pauses[kSwaps];
uint64_t pauses_of_thousand[kSwaps];

Result<void> ask_workload(kernel::Kernel& kernel, Text type, Text payload = {}) {
    const Response answer = TRY(kernel.modules.request(nullptr, "helix-workload", type, as_bytes(payload)));
    if (!answer.is_ok()) return Error(ErrorCode::InvalidState, answer.sentence());
    return {};
}

Result<void> measure_under(kernel::Kernel& kernel, Text threads, uint64_t& seen, Span<uint64_t> out) {
    constexpr Text kPolicies[] = {"helix-scheduler-priority", "helix-scheduler-round-robin"};
    TRY(ask_workload(kernel, "start", threads));
    for (size_t i = 0; i < out.size(); ++i) {
        TRY(kernel.threads.sleep(kBetweenNs));
        TRY(kernel.modules.swap("helix.scheduler", kPolicies[i % 2]));
        kernel::HistoryRecord record;
        if (!kernel.modules.history().next(seen, record) || record.result != kernel::TransactionResult::Committed)
            return Error(ErrorCode::InvalidState, "a swap left no record that it was committed");
        seen = record.id;
        out[i] = record.pause_ns;
    }
    TRY(ask_workload(kernel, "check"));
    return ask_workload(kernel, "stop");
}

Result<void> measure(kernel::Kernel& kernel) {
    TRY(kernel.modules.load("helix-workload"));
    uint64_t seen = 0;
    TRY(measure_under(kernel, "1000", seen, Span<uint64_t>(pauses_of_thousand)));
    return measure_under(kernel, "10000", seen, Span<uint64_t>(pauses));
}

}  // namespace

int main(int argument_count, char** arguments) {
    if (benchmark::only_lists(argument_count, arguments, {"scheduler.swap.pause", "scheduler.swap.pause.1000"}))
        return 0;
    benchmark::KernelOptions options;
    options.cpus = 2;
    options.memory_mb = 1024;
    if (!benchmark::run_in_kernel({"helix-workload", "helix-scheduler-priority"}, measure, options)) return 1;
    benchmark::print_metric("scheduler.swap.pause", "ns", {pauses, pauses + kSwaps});
    benchmark::print_metric("scheduler.swap.pause.1000", "ns", {pauses_of_thousand, pauses_of_thousand + kSwaps});
    return 0;
}

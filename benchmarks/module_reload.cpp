// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// module.reload, module.reload.pause, module.reload.first and module.recover: a module with 64 KiB of kept memory and
// 64 bytes of saved state is reloaded, beside dlopen and dlclose of the same file, soon after the last time and when
// its probation is over; and it crashes, and is restarted under its caller.
#include "dlopen_peer.hpp"
#include "metric.hpp"

namespace {

using namespace helix;

constexpr char kKeeper[] = "helix-benchmark-keeper";
constexpr char kCaller[] = "helix-benchmark-keeper-caller";
constexpr uint64_t kStateBytes = 64;
constexpr size_t kFirsts = 200;
constexpr uint64_t kProbationNs = 20'000'000;
constexpr size_t kRecoveries = 200;
constexpr uint64_t kBetweenNs = 2'000'000;  // so that each restart is the first of its period, and comes at once

benchmark::DlopenPeer peer;
uint64_t reload_ns[benchmark::DlopenPeer::kRuns];
uint64_t pause_ns[benchmark::DlopenPeer::kRuns];
uint64_t first_ns[kFirsts];
uint64_t recovery_ns[kRecoveries];

Result<kernel::HistoryRecord> reload(kernel::Kernel& kernel, uint64_t& ns) {
    const uint64_t begin = arch::now_ns();
    const uint64_t id = TRY(kernel.modules.reload(kKeeper));
    ns = arch::now_ns() - begin;
    kernel::HistoryRecord record;
    if (!kernel.modules.history().find(id, record) || record.state_bytes != kStateBytes)
        return Error(ErrorCode::InvalidState,
                     format("{} bytes of state, not {}", record.state_bytes, kStateBytes).text());
    return record;
}

/// Until what was kept for a return is given back.
Result<void> wait_for_end_of_probation(kernel::Kernel& kernel) {
    TRY(kernel.threads.sleep(2 * kProbationNs));
    kernel.modules.settle();
    return {};
}

Result<void> measure(kernel::Kernel& kernel) {
    kernel.log.set_echo_off();  // how long the console takes for what the supervisor says is another matter
    TRY(kernel.modules.load(kKeeper));
    TRY(kernel.modules.load(kCaller));
    TRY(peer.take_turns(kernel, [&](size_t i) -> Result<void> {
        pause_ns[i] = TRY(reload(kernel, reload_ns[i])).pause_ns;
        return {};
    }));
    for (uint64_t& ns : first_ns) {
        TRY(wait_for_end_of_probation(kernel));
        (void)TRY(reload(kernel, ns));
    }
    TRY(wait_for_end_of_probation(kernel));  // a crash before that would bring the previous instance back
    for (uint64_t& ns : recovery_ns) {
        const Response response = TRY(kernel.modules.request(nullptr, kCaller, "recover", {}));
        uint64_t cycles = 0;
        if (!response.is_ok() || !parse_unsigned(as_text(response.payload().bytes()), cycles))
            return Error(ErrorCode::InvalidState, "the call was not answered");
        ns = kernel.threads.cycles_to_ns(cycles);
        TRY(kernel.threads.sleep(kBetweenNs));
    }
    return {};
}

}  // namespace

int main(int argument_count, char** arguments) {
    if (benchmark::only_lists(argument_count, arguments,
                              {"module.reload", "module.reload.pause", "module.reload.first", "module.recover"}))
        return 0;
    peer.start(benchmark::stripped_module(kKeeper).string());
    benchmark::KernelOptions options;
    options.profile = "kernel.restart_period=1ms\nkernel.health_period=0s\nkernel.probation=20ms\n";
    const bool succeeded = benchmark::run_in_kernel({kKeeper, kCaller}, measure, options);
    if (!peer.finish() || !succeeded) return 1;
    benchmark::print_metric("module.reload", "ns", {std::begin(reload_ns), std::end(reload_ns)}, peer.peers());
    benchmark::print_metric("module.reload.pause", "ns", {std::begin(pause_ns), std::end(pause_ns)});
    benchmark::print_metric("module.reload.first", "ns", {std::begin(first_ns), std::end(first_ns)});
    benchmark::print_metric("module.recover", "ns", {std::begin(recovery_ns), std::end(recovery_ns)});
    return 0;
}

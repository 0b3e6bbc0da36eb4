// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// module.reload.pause.busy: a module is reloaded under eight threads that compute on two CPUs, half of the time inside
// it.
#include "hosted_kernel.hpp"
#include "metric.hpp"

namespace {

using namespace helix;

constexpr char kKeeper[] = "helix-benchmark-keeper";
constexpr char kCaller[] = "helix-benchmark-keeper-caller";
constexpr size_t kReloads = 100;
constexpr uint64_t kBetweenNs = 25'000'000;  // in which most of them had a turn

uint64_t pause_ns[kReloads];

Result<void> measure(kernel::Kernel& kernel) {
    kernel.log.set_echo_off();
    TRY(kernel.modules.load(kKeeper));
    TRY(kernel.modules.load(kCaller));
    TRY(kernel.modules.request(nullptr, kCaller, "work", {}));
    for (uint64_t& ns : pause_ns) {
        TRY(kernel.threads.sleep(kBetweenNs));
        const uint64_t id = TRY(kernel.modules.reload(kKeeper));
        kernel::HistoryRecord record;
        if (!kernel.modules.history().find(id, record)) return ErrorCode::NotFound;
        ns = record.pause_ns;
    }
    const Response rested = TRY(kernel.modules.request(nullptr, kCaller, "rest", {}));
    return rested.is_ok() ? Result<void>() : Error(ErrorCode::ModuleFailed, rested.sentence());
}

}  // namespace

int main(int argument_count, char** arguments) {
    if (benchmark::only_lists(argument_count, arguments, {"module.reload.pause.busy"})) return 0;
    if (!benchmark::run_in_kernel({kKeeper, kCaller}, measure)) return 1;
    benchmark::print_metric("module.reload.pause.busy", "ns", {std::begin(pause_ns), std::end(pause_ns)});
    return 0;
}

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// scheduler.evict: from a fault in a pick of a policy on probation to the first pick of the one before it, with two
// CPUs and a thousand threads.
#include "hosted_kernel.hpp"
#include "metric.hpp"

namespace {

using namespace helix;

constexpr size_t kEvictions = 100;
constexpr uint64_t kLookNs = 1'000'000;
constexpr Text kInterface = "helix.scheduler";
constexpr Text kFaulty = "helix-benchmark-eviction";
constexpr Text kWitness = "helix-benchmark-witness";

uint64_t evictions[kEvictions];

Result<FixedText<48>> ask(kernel::Kernel& kernel, Text module, Text type, Text payload = {}) {
    const Response response = TRY(kernel.modules.request(nullptr, module, type, as_bytes(payload)));
    if (!response.is_ok()) return Error(ErrorCode::InvalidState, response.sentence());
    return FixedText<48>(as_text(response.payload().bytes()));
}

Result<uint64_t> evict(kernel::Kernel& kernel) {
    TRY(kernel.modules.swap(kInterface, kFaulty));
    const auto address = TRY(ask(kernel, kWitness, "arm"));
    TRY(ask(kernel, kFaulty, "fault", address.text()));
    uint64_t fault = 0, pick = 0;
    do {
        TRY(kernel.threads.sleep(kLookNs));
        const auto times = TRY(ask(kernel, kWitness, "times"));
        const size_t space = times.text().find(' ');
        if (!parse_unsigned(times.text().substr(0, space), fault) ||
            !parse_unsigned(times.text().substr(space + 1), pick))
            return Error(ErrorCode::InvalidState, "the witness gave no times");
    } while (pick == 0);
    kernel.modules.settle();
    return kernel.threads.cycles_to_ns(pick - fault);
}

Result<void> measure(kernel::Kernel& kernel) {
    TRY(kernel.modules.load("helix-workload"));
    TRY(kernel.modules.load(kWitness));
    TRY(kernel.modules.request(nullptr, "helix-workload", "start", as_bytes(Text("1000"))));
    TRY(kernel.modules.swap(kInterface, kWitness));
    for (uint64_t& ns : evictions) ns = TRY(evict(kernel));
    const Response check = TRY(kernel.modules.request(nullptr, "helix-workload", "check", {}));
    if (!check.is_ok()) return Error(ErrorCode::InvalidState, check.sentence());
    return {};
}

}  // namespace

int main(int argument_count, char** arguments) {
    if (benchmark::only_lists(argument_count, arguments, {"scheduler.evict"})) return 0;
    if (!benchmark::run_in_kernel({"helix-workload", "helix-benchmark-eviction", "helix-benchmark-witness"}, measure,
                                  2))
        return 1;
    benchmark::print_metric("scheduler.evict", "ns", {evictions, evictions + kEvictions});
    return 0;
}

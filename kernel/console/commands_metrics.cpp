// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The command `metrics`.
#include "kernel/console/listing.hpp"
#include "kernel/kernel.hpp"

namespace helix::kernel {

Result<void> run_metrics(Invocation& invocation) {
    using enum Column::Align;
    constexpr Column kColumns[] = {{"NAME", Left, "name"},
                                   {"CALLS", Right, "calls"},
                                   {"ERRORS", Right, "errors"},
                                   {"MISSED", Right, "missed"},
                                   {"FAILURES", Right, "failures"},
                                   {"RESTARTS", Right, "restarts"},
                                   {"CPU TIME", Right, "cpu_ns"},
                                   {"BYTES", Right, "bytes"},
                                   {"PAUSES <1us/10us/100us/1ms/10ms/100ms/1s/more", Left, "pauses"}};
    Listing listing(invocation, kColumns);
    const Text name = invocation.argument(0);
    bool found = name.empty();
    invocation.kernel.modules.for_each([&](ModuleRecord& record) {
        if (!name.empty() && record.name() != name) return;
        found = true;
        const Metrics& metrics = record.metrics;
        listing.cell(record.name());
        listing.cell(__atomic_load_n(&record.calls, __ATOMIC_RELAXED));
        listing.cell(metrics.errors());
        listing.cell(metrics.missed());
        listing.cell(metrics.failures());
        listing.cell(record.restarts.count);
        listing.duration(record.ticks() * Threads::kTickNs);
        listing.cell(record.current == nullptr ? 0 : record.current->totals().bytes);
        uint32_t pauses[Metrics::kPauses];
        for (size_t i = 0; i < Metrics::kPauses; ++i) pauses[i] = metrics.pauses(i);
        listing.numbers(pauses);
    });
    if (!found) return Error(ErrorCode::NotFound, format("no module {} is loaded", name.substr(0, 60)).text());
    listing.finish("(no module)");
    return {};
}

}  // namespace helix::kernel

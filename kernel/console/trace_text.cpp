// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The trace in words.
#include "kernel/console/trace_text.hpp"

#include "kernel/kernel.hpp"

namespace helix::kernel {

namespace {

/// How entries of a kind read.
struct Wording {
    const char* kind;
    bool is_thread = false;  ///< the subject
    bool other_is_thread = false;
    const char* details = nullptr;  ///< by their numbers; null: none, or those of an enumeration
};
constexpr Wording kWordings[kTraceKinds] = {
    {"text"},
    {"switch", true, true, "blocked yielded preempted ended"},
    {"wake", true, true, "? signalled timed-out cancelled"},
    {"migration", true, false, "placed pulled given-away"},
    {"thread", false, true},
    {"cpu", false, false, "offline online"},
    {"module"},
    {"failure", false, true, "? fault budget abort killed"},
    {"request", false, true, "begin end error"},
    {"event", false, true, "begin end error"},
    {"phase", false, true},
    {"transaction", false, true},
    {"resumed"},
};

Text describe_detail(const TraceRecord& record, const char* words) {
    // What was read may be anything.
    size_t number = record.detail;
    if (record.kind == TraceKind::Module) return describe(static_cast<ModuleState>(number % kModuleStates));
    if (record.kind == TraceKind::Phase) return describe(static_cast<Phase>(number % kPhases));
    if (record.kind == TraceKind::Transaction)
        return describe(static_cast<TransactionResult>(number % kTransactionResults));
    if (words == nullptr) return {};
    for (const Text word : Words(Text::from_c_string(words)))
        if (number-- == 0) return word;
    return {};
}

}  // namespace

void list_trace(const Kernel& kernel, uint64_t count, Listing& listing) {
    const Threads::CycleClock clock = kernel.threads.cycle_clock();
    TraceReader reader = kernel.trace.reader();
    if (count != UINT64_MAX) reader.go_to_last(count);
    for (TraceRecord record; reader.next(record);) {
        const auto kind = static_cast<size_t>(record.kind);
        const Wording& wording = kWordings[kind < kTraceKinds ? kind : 0];
        const auto name_of = [&](uint32_t id) { return kernel.threads.name_of(static_cast<ThreadId>(id)); };
        listing.time(clock.time_ns(record.cycles));
        listing.cell(record.kind == TraceKind::Migration ? static_cast<CpuId>(record.address) : record.cpu);
        listing.cell(Text::from_c_string(wording.kind));
        listing.cell(describe_detail(record, wording.details));
        listing.cell(record.subject);
        listing.cell(wording.is_thread ? name_of(record.subject).text() : record.text.text());
        listing.cell(record.other);
        listing.cell(wording.other_is_thread ? name_of(record.other).text() : Text());
    }
}

void report_trace(const Kernel& kernel, TextSink& out) {
    uint64_t lost = 0;
    Threads& threads = const_cast<Threads&>(kernel.threads);
    for (CpuId id = 0; id < threads.cpu_count(); ++id) lost += threads.cpu(id).trace.begin();
    out.write("{\"helix_trace\":");
    Listing listing(out, true, kTraceColumns, {});
    list_trace(kernel, UINT64_MAX, listing);
    listing.end();
    out.print(",\"lost\":{}}}\n", lost);
}

}  // namespace helix::kernel

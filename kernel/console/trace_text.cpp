// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The trace in words.
#include "kernel/console/trace_text.hpp"

#include "kernel/console/json.hpp"
#include "kernel/duration.hpp"
#include "kernel/kernel.hpp"

namespace helix::kernel {

namespace {

constexpr Text kSwitches[] = {"blocked", "yielded", "preempted", "ended"};
constexpr Text kWakes[] = {"?", "signalled", "timed-out", "cancelled"};
constexpr Text kMigrations[] = {"placed", "pulled", "given-away"};
constexpr Text kCpus[] = {"offline", "online"};
constexpr Text kFailures[] = {"?", "fault", "budget", "abort", "killed"};
constexpr Text kCalls[] = {"begin", "end", "error"};

enum class Subject : uint8_t { None, Thread, Number, Instance };

/// How entries of a kind read: "KIND SUBJECT OTHER (DETAIL)".
struct Wording {
    Text kind;
    Subject subject = Subject::None;
    Text before_other = {};  ///< empty: there is no other
    Span<const Text> details = {};
};
constexpr Wording kWordings[kTraceKinds] = {
    {"text"},
    {"switch", Subject::Thread, " after ", kSwitches},
    {"wake", Subject::Thread, " by ", kWakes},
    {"migration", Subject::Thread, " from CPU ", kMigrations},
    {"thread", Subject::Instance, " by "},
    {"cpu", Subject::Number, {}, kCpus},
    {"module", Subject::Instance, {}, kModuleStateNames},
    {"failure", Subject::Instance, " on ", kFailures},
    {"request", Subject::Instance, " by ", kCalls},
    {"event", Subject::Instance, " by ", kCalls},
    {"phase", Subject::None, " by ", kPhaseNames},
    {"transaction", Subject::Instance, " by ", kTransactionResultNames},
    {"resumed"},
};

/// An entry with the names that belong to it.
struct Named {
    Named(const Kernel& kernel, const TraceRecord& record)
        : wording(kWordings[static_cast<size_t>(record.kind) < kTraceKinds ? static_cast<size_t>(record.kind) : 0]) {
        if (record.detail < wording.details.size()) detail = wording.details[record.detail];
        if (wording.subject == Subject::Thread)
            name.assign(kernel.threads.name_of(static_cast<ThreadId>(record.subject)).text());
        else
            name = record.text;
        if (!wording.before_other.empty() && record.kind != TraceKind::Migration)
            other = kernel.threads.name_of(static_cast<ThreadId>(record.other));
        cpu = record.kind == TraceKind::Migration ? static_cast<CpuId>(record.address) : record.cpu;
    }
    const Wording& wording;
    Text detail;
    FixedText<TraceRing::kMaximumText> name;
    FixedText<29> other;
    CpuId cpu;  ///< of a migration: where to
};

/// Calls `visit` for the last `count` entries.
template <typename Visit>
void for_each_entry(const Kernel& kernel, uint64_t count, Visit visit) {
    const Threads::CycleClock clock = kernel.threads.cycle_clock();
    TraceReader reader = kernel.trace.reader();
    if (count != UINT64_MAX) reader.go_to_last(count);
    for (TraceRecord record; reader.next(record);) visit(record, Named(kernel, record), clock.time_ns(record.cycles));
}

}  // namespace

void print_trace(const Kernel& kernel, uint64_t count, TextSink& out) {
    for_each_entry(kernel, count, [&](const TraceRecord& record, const Named& named, uint64_t time_ns) {
        out.print("{} cpu {} {}", describe_time(time_ns), named.cpu, named.wording.kind);
        if (named.wording.subject != Subject::None) out.print(" {} {}", record.subject, named.name);
        if (!named.wording.before_other.empty())
            out.print("{}{} {}", named.wording.before_other, record.other, named.other);
        if (!named.detail.empty()) out.print(" ({})", named.detail);
        if (record.kind == TraceKind::Failure) out.print(" at 0x{:x}", record.address);
        out.write("\n");
    });
}

void write_trace(const Kernel& kernel, uint64_t count, TextSink& out) {
    JsonWriter json(out);
    json.begin_array();
    for_each_entry(kernel, count, [&](const TraceRecord& record, const Named& named, uint64_t time_ns) {
        json.begin_object();
        json.field("time_ns", time_ns);
        json.field("cpu", named.cpu);
        json.field("kind", named.wording.kind);
        json.field("detail", named.detail);
        json.field("id", record.subject);
        json.field("name", named.name.text());
        json.field("other_id", record.other);
        json.field("other_name", named.other.text());
        json.end_object();
    });
    json.end_array();
}

void report_trace(const Kernel& kernel, TextSink& out) {
    uint64_t lost = 0;
    Threads& threads = const_cast<Threads&>(kernel.threads);
    for (CpuId id = 0; id < threads.cpu_count(); ++id) lost += threads.cpu(id).trace.begin();
    out.write("{\"helix_trace\":");
    write_trace(kernel, UINT64_MAX, out);
    out.print(",\"lost\":{}}}\n", lost);
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The command `metrics`, and what it shares with `module`.
#include "kernel/console/metrics_text.hpp"

#include "kernel/duration.hpp"
#include "kernel/kernel.hpp"

namespace helix::kernel {

namespace {

struct Counted {
    explicit Counted(ModuleRecord& record) : calls(__atomic_load_n(&record.calls, __ATOMIC_RELAXED)) {
        const Metrics& metrics = record.metrics;
        errors = metrics.errors();
        failures = metrics.failures();
        uint64_t ticks = metrics.ticks();
        if (Instance* const instance = record.current; instance != nullptr) {
            ticks += __atomic_load_n(&instance->ticks, __ATOMIC_RELAXED);
            owned = instance->totals();
        }
        cpu_ns = ticks * Threads::kTickNs;
    }
    uint64_t calls;
    uint64_t errors;
    uint64_t failures;
    uint64_t cpu_ns;
    LedgerTotals owned;
};

constexpr Text kLimits[Metrics::kPauses] = {"1 us", "10 us", "100 us", "1 ms", "10 ms", "100 ms", "1 s", "more"};

/// "2 below 10 us, 1 below 1 ms"; empty when there was none.
FixedText<160> describe_pauses(const Metrics& metrics) {
    FixedText<160> out;
    for (size_t i = 0; i < Metrics::kPauses; ++i) {
        const uint32_t count = metrics.pauses(i);
        if (count == 0) continue;
        if (!out.empty()) out.append(", ");
        const bool last = i == Metrics::kPauses - 1;
        out.append(format<40>("{}{}{}", count, last ? Text(" ") : Text(" below "), kLimits[i]).text());
    }
    return out;
}

void write_counts(JsonWriter& json, const Counted& counted, const Metrics& metrics) {
    json.field("calls", counted.calls);
    json.field("errors", counted.errors);
    json.field("failures", counted.failures);
    json.field("cpu_ns", counted.cpu_ns);
    json.key("pauses");
    json.begin_array();
    for (size_t i = 0; i < Metrics::kPauses; ++i) json.value(metrics.pauses(i));
    json.end_array();
}

}  // namespace

void write_metrics(JsonWriter& json, ModuleRecord& record) {
    json.begin_object();
    write_counts(json, Counted(record), record.metrics);
    json.end_object();
}

void print_metrics(Output& out, ModuleRecord& record) {
    const Counted found(record);
    out.print("calls         {}, {}, {}\n", found.calls, counted(found.errors, "error"),
              counted(found.failures, "failure"));
    out.print("CPU time      {}\n", describe_duration(found.cpu_ns));
    if (const auto pauses = describe_pauses(record.metrics); !pauses.empty()) out.print("pauses        {}\n", pauses);
}

Result<void> run_metrics(Invocation& invocation) {
    using enum Column::Align;
    const Text name = invocation.argument(0);
    JsonWriter json(invocation.out);
    constexpr Column kColumns[] = {{"NAME"},           {"CALLS", Right},    {"ERRORS", Right}, {"FAILURES", Right},
                                   {"RESTARTS", Right}, {"CPU TIME", Right}, {"BYTES", Right},  {"PAUSES"}};
    Table table(invocation.out, kColumns, invocation.scratch);
    bool found = name.empty();
    if (invocation.json && name.empty()) json.begin_array();
    invocation.kernel.modules.for_each([&](ModuleRecord& record) {
        if (!name.empty() && record.name() != name) return;
        found = true;
        const Counted counted(record);
        if (invocation.json) {
            json.begin_object();
            json.field("name", record.name());
            write_counts(json, counted, record.metrics);
            json.field("restarts", record.restarts.count);
            json.field("bytes", counted.owned.bytes);
            json.end_object();
            return;
        }
        table.cell(record.name());
        table.cell(counted.calls);
        table.cell(counted.errors);
        table.cell(counted.failures);
        table.cell(record.restarts.count);
        table.cell(describe_duration(counted.cpu_ns).text());
        table.cell(counted.owned.bytes);
        table.cell(describe_pauses(record.metrics).text());
    });
    if (!found) return Error(ErrorCode::NotFound, format("no module {} is loaded", name.substr(0, 60)).text());
    if (invocation.json) {
        if (name.empty()) json.end_array();
        invocation.out.write("\n");
    } else {
        table.finish("(no module)");
    }
    return {};
}

}  // namespace helix::kernel

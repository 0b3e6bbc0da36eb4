// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Commands about shadow trials.
#include "kernel/console/listing.hpp"
#include "kernel/console/transactions.hpp"
#include "kernel/kernel.hpp"

namespace helix::kernel {

namespace {

constexpr uint64_t kDefaultTimeoutNs = 10'000'000'000;
constexpr uint64_t kMaximumTimeoutMs = 86'400'000;  // a day

/// The value of a command's option, which is to be from 1 to `maximum`.
Result<uint64_t> number_value(const Invocation& invocation, size_t option, uint64_t maximum) {
    uint64_t number = 0;
    if (parse_unsigned(invocation.values[option], number) && number > 0 && number <= maximum) return number;
    return Error(ErrorCode::InvalidArgument, format("{} takes a number from 1 to {}, not \"{}\"",
                                                    invocation.command.valued[option], maximum,
                                                    invocation.values[option].substr(0, 40))
                                                 .text());
}

}  // namespace

void write_trial_counts(JsonWriter& json, const TrialCounts& counts) {
    if (counts.wanted == 0) return json.null();
    json.begin_object();
    json.field("wanted", counts.wanted);
    json.field("compared", counts.compared);
    json.field("differing", counts.differing);
    json.field("skipped", counts.skipped);
    json.end_object();
}

Result<void> reload_after_trial(Invocation& invocation, const Wanted& wanted) {
    if (invocation.arguments.size() > 2)
        return Error(ErrorCode::InvalidArgument, "--shadow tries one module at a time");
    if (invocation.values[0].empty()) return Error(ErrorCode::InvalidArgument, "--within is for --shadow N");
    TrialTerms terms;
    terms.calls = static_cast<uint32_t>(TRY(number_value(invocation, 0, TrialTerms::kMaximumCalls)));
    terms.timeout_ns = kDefaultTimeoutNs;
    if (!invocation.values[1].empty())
        terms.timeout_ns = TRY(number_value(invocation, 1, kMaximumTimeoutMs)) * 1'000'000;
    const uint64_t id = TRY(invocation.kernel.modules.reload_after_trial(wanted, terms));
    print_transaction(invocation, id, wanted.name);
    invocation.out.write("\n");
    return {};
}

Result<void> run_trial(Invocation& invocation) {
    const TrialReport report = invocation.kernel.modules.last_trial();
    const TrialCounts& counts = report.counts;
    Output& out = invocation.out;
    JsonWriter json(out);
    if (invocation.json) {
        json.begin_object();
        json.field("from", report.from.text());
        json.field("to", report.to.text());
        json.key("trial");
        write_trial_counts(json, counts);
        json.key("differences");
        json.begin_array();
    } else if (counts.wanted == 0) {
        out.write("(there was no trial)\n");
    } else {
        out.print("{} -> {}: {} of {} compared, {} of them differ, {} skipped\n", report.from, report.to,
                  counts.compared, counts.wanted, counts.differing, counts.skipped);
    }
    constexpr Column kColumns[] = {{"METHOD"}, {"ARGUMENTS"}, {"SERVING"}, {"SHADOW"}};
    Table table(out, kColumns, invocation.scratch);
    for (uint32_t i = 0; i < report.shown; ++i) {
        const TrialDifference& difference = report.differences[i];
        if (invocation.json) {
            json.begin_object();
            json.field("method", difference.method.text());
            json.field("arguments", difference.arguments.text());
            json.field("serving", difference.serving.text());
            json.field("shadow", difference.shadow.text());
            json.end_object();
            continue;
        }
        table.cell(difference.method.text());
        table.cell(difference.arguments.text());
        table.cell(difference.serving.text());
        table.cell(difference.shadow.text());
    }
    if (invocation.json) {
        json.end_array();
        json.end_object();
        out.write("\n");
    } else if (counts.differing != 0) {
        table.finish();
    }
    return {};
}

}  // namespace helix::kernel

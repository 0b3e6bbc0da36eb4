// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Commands about shadow trials.
#include "kernel/console/listing.hpp"
#include "kernel/console/transactions.hpp"
#include "kernel/kernel.hpp"

namespace helix::kernel {

void write_trial_counts(JsonWriter& json, const TrialCounts& counts) {
    if (counts.wanted == 0) return json.null();
    json.begin_object();
    json.field("wanted", counts.wanted);
    json.field("compared", counts.compared);
    json.field("differing", counts.differing);
    json.field("skipped", counts.skipped);
    json.end_object();
}

Result<void> reload_after_trial(Invocation& invocation) {
    constexpr uint64_t kMaximumTimeoutMs = 86'400'000;  // a day
    const size_t count = invocation.arguments.size();
    if (count != 2 && count != 3)
        return Error(ErrorCode::InvalidArgument,
                     "--shadow takes a module and a file: reload NAME FILE --shadow N [MS]");
    TrialTerms terms;
    terms.calls = static_cast<uint32_t>(
        TRY(number_argument(invocation.option_value, "a number of calls", TrialTerms::kMaximumCalls)));
    if (terms.calls == 0) return Error(ErrorCode::InvalidArgument, "a trial compares one call at least");
    uint64_t timeout_ms = 10'000;
    if (count == 3)
        timeout_ms = TRY(number_argument(invocation.argument(2), "a number of milliseconds", kMaximumTimeoutMs));
    terms.timeout_ns = timeout_ms * 1'000'000;
    const Wanted wanted = {invocation.arguments[0], invocation.arguments[1]};
    const uint64_t id = TRY(invocation.kernel.modules.reload_after_trial(wanted, terms));
    print_transaction(invocation, id, wanted.name);
    invocation.out.write("\n");
    return {};
}

Result<void> run_trial(Invocation& invocation) {
    using enum Column::Align;
    constexpr Column kColumns[] = {{"METHOD", Left, "method"},
                                   {"ARGUMENTS", Left, "arguments"},
                                   {"SERVING", Left, "serving"},
                                   {"SHADOW", Left, "shadow"}};
    const TrialReport report = invocation.kernel.modules.last_trial();
    Listing listing(invocation, kColumns);
    for (uint32_t i = 0; i < report.shown; ++i) {
        const TrialDifference& difference = report.differences[i];
        listing.cell(difference.method.text());
        listing.cell(difference.arguments.text());
        listing.cell(difference.serving.text());
        listing.cell(difference.shadow.text());
    }
    listing.finish("(no answers differed)");
    return {};
}

}  // namespace helix::kernel

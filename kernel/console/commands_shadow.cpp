// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The command `swap` with --shadow or --canary: a scheduler is tried beside the ruling one, or rules one CPU first.
#include "helix/units.hpp"
#include "kernel/console/listing.hpp"
#include "kernel/console/transactions.hpp"
#include "kernel/duration.hpp"
#include "kernel/kernel.hpp"

#include <new>

namespace helix::kernel {

namespace {

constexpr uint64_t kLongestNs = 86'400'000'000'000;

// One line on the terminal, written again each second.

void show_shadow(void* report, uint64_t ran_ns) {
    const PolicyTrial::Counts total = static_cast<const ShadowReport*>(report)->total();
    arch::console_write(format<120>("\r{}: {} of {} picks differ\x1b[K", describe_duration(ran_ns),
                                    uint64_t{total.other_picks}, uint64_t{total.choices})
                            .text());
}

void show_canary(void* terms, uint64_t ran_ns) {
    const CanaryTerms& canary = *static_cast<const CanaryTerms*>(terms);
    arch::console_write(format<120>("\r{} of {}: canary on CPU {}\x1b[K", describe_duration(ran_ns),
                                    describe_duration(canary.duration_ns), canary.cpu)
                            .text());
}

bool shows_progress(const Invocation& invocation) {
    return invocation.keys != nullptr && !invocation.json &&
           boot_word(invocation.kernel.boot.command_line, "cursor") != "0";
}

void clear_progress(const Invocation& invocation) {
    if (shows_progress(invocation)) arch::console_write("\r\x1b[K");
}

void write_counts(Listing& listing, const PolicyTrial::Counts& counts) {
    listing.cell(uint64_t{counts.picks});
    listing.cell(uint64_t{counts.choices});
    listing.cell(uint64_t{counts.other_picks});
    listing.cell(uint64_t{counts.ticks});
    listing.cell(uint64_t{counts.other_ticks});
}

void show(Invocation& invocation, const ShadowReport& report) {
    using enum Column::Align;
    constexpr Column kCpuColumns[] = {{"CPU", Right, "id"},
                                      {"PICKS", Right, "picks"},
                                      {"WITH A CHOICE", Right, "choices"},
                                      {"DIFFERENT", Right, "other_picks"},
                                      {"TICKS", Right, "ticks"},
                                      {"DIFFERENT", Right, "other_ticks"}};
    constexpr Column kPickColumns[] = {{"TIME", Right, "time_ns"},     {"CPU", Right, "cpu"},
                                       {"PICKED", Right, "picked"},    {"NAME", Left, "picked_name"},
                                       {"WOULD PICK", Right, "other"}, {"NAME", Left, "other_name"}};
    Output& out = invocation.out;
    const PolicyTrial::Counts total = report.total();
    if (invocation.json) {
        JsonWriter json(out);
        json.begin_object();
        json.field("interface", invocation.arguments[0]);
        json.field("ruling", report.ruling.text());
        json.field("shadow", report.shadow.text());
        json.field("ran_ns", report.ran_ns);
        json.field("picks", uint64_t{total.picks});
        json.field("choices", uint64_t{total.choices});
        json.field("other_picks", uint64_t{total.other_picks});
        json.field("ticks", uint64_t{total.ticks});
        json.field("other_ticks", uint64_t{total.other_ticks});
        out.write(",\"cpus\":");
    } else {
        out.print("{}: {} in the shadow of {} for {}: ", invocation.arguments[0], report.shadow, report.ruling,
                  describe_duration(report.ran_ns));
        out.print("{} of {} picks with a choice and {} of {} ticks differ; nothing was swapped\n",
                  uint64_t{total.other_picks}, uint64_t{total.choices}, uint64_t{total.other_ticks},
                  uint64_t{total.ticks});
    }
    Listing cpus(out, invocation.json, kCpuColumns, invocation.scratch);
    for (CpuId id = 0; id < invocation.kernel.threads.cpu_count(); ++id) {
        cpus.cell(id);
        write_counts(cpus, report.compared.of_cpu[id]);
    }
    cpus.end();
    if (invocation.json) out.write(",\"first\":");
    if (!invocation.json && report.compared.shown() == 0) return;
    Listing picks(out, invocation.json, kPickColumns, invocation.scratch);
    for (size_t i = 0; i < report.compared.shown(); ++i) {
        const PolicyTrial::Difference& difference = report.compared.first[i];
        picks.duration(difference.time_ns);
        picks.cell(difference.cpu);
        picks.cell(static_cast<uint32_t>(difference.picked));
        picks.cell(difference.picked_name.text());
        picks.cell(static_cast<uint32_t>(difference.other));
        picks.cell(difference.other_name.text());
    }
    picks.end();
    if (invocation.json) out.write("}\n");
}

/// A number of seconds, or a duration with its unit.
Result<uint64_t> duration_argument(Text given) {
    uint64_t duration_ns = 0;
    if (!parse_duration(given, duration_ns) && !parse_duration(format<24>("{}s", given).text(), duration_ns))
        duration_ns = 0;
    if (duration_ns != 0 && duration_ns <= kLongestNs) return duration_ns;
    return Error(ErrorCode::InvalidArgument,
                 format("\"{}\" is no time from 1ns to 86400 seconds", given.substr(0, 40)).text());
}

}  // namespace

Result<void> run_canary(Invocation& invocation) {
    Kernel& kernel = invocation.kernel;
    CanaryTerms terms;
    terms.cpu =
        static_cast<CpuId>(TRY(number_argument(invocation.option_value, "a CPU", kernel.threads.cpu_count() - 1)));
    terms.duration_ns = TRY(duration_argument(invocation.argument(2, "5")));
    const auto id = kernel.modules.swap_after_canary(invocation.arguments[0], invocation.arguments[1], terms,
                                                     shows_progress(invocation) ? show_canary : nullptr, &terms);
    clear_progress(invocation);
    print_transaction(invocation, TRY(id), invocation.arguments[0]);
    invocation.out.write("\n");
    return {};
}

Result<void> run_shadow(Invocation& invocation) {
    const uint64_t duration_ns = TRY(duration_argument(invocation.option_value));
    void* const memory = invocation.kernel.heap.allocate(sizeof(ShadowReport), alignof(ShadowReport));
    if (memory == nullptr) return ErrorCode::OutOfMemory;
    ShadowReport& report = *new (memory) ShadowReport;
    auto result = invocation.kernel.modules.shadow(invocation.arguments[0], invocation.arguments[1], duration_ns,
                                                   report, shows_progress(invocation) ? show_shadow : nullptr, &report);
    clear_progress(invocation);
    if (result.ok() && invocation.json && current_thread().cancelled) result = ErrorCode::Cancelled;
    if (result.ok()) show(invocation, report);
    invocation.kernel.heap.free(memory);
    return result;
}

}  // namespace helix::kernel

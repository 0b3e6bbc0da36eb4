// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Commands that look at the system or end it.
#include "kernel/console/listing.hpp"
#include "kernel/duration.hpp"
#include "kernel/kernel.hpp"

namespace helix::kernel {

namespace {
using enum Column::Align;

}  // namespace

Result<uint64_t> number_argument(Text text, Text what, uint64_t maximum) {
    uint64_t value = 0;
    if (parse_unsigned(text, value) && value <= maximum) return value;
    return Error(ErrorCode::InvalidArgument,
                 format("\"{}\" is not {} (a number, 0 to {})", text.substr(0, 60), what, maximum).text());
}

Result<void> run_help(Invocation& invocation) {
    Output& out = invocation.out;
    const auto as_json = [](JsonWriter& json, const Command& command) {
        json.begin_object();
        json.field("name", command.name);
        json.field("usage", command.usage);
        json.field("help", command.help);
        json.end_object();
    };
    JsonWriter json(out);
    if (const Text name = invocation.argument(0); !name.empty()) {
        const Command* const command = find_command(name);
        if (command == nullptr) return unknown_command(name);
        if (invocation.json) {
            as_json(json, *command);
            out.write("\n");
            return {};
        }
        out.print("{} {}{}[--json] [--help]\n", command->name, command->usage,
                  command->usage.empty() ? Text() : Text(" "));
        out.write(command->help);
        out.write("\n");
        return {};
    }
    if (invocation.json) {
        json.begin_array();
        for (const Command& command : all_commands()) as_json(json, command);
        json.end_array();
        out.write("\n");
        return {};
    }
    size_t width = 0;
    const auto call_width = [](const Command& command) { return command.name.size() + 1 + command.usage.size(); };
    for (const Command& command : all_commands())
        if (call_width(command) > width) width = call_width(command);
    for (const Command& command : all_commands()) {
        out.print("{} {}", command.name, command.usage);
        for (size_t i = call_width(command); i < width + 2; ++i) out.write(" ");
        out.write(command.help);
        out.write("\n");
    }
    out.write("Every command takes --json and --help. `;` separates commands, quotes keep words together.\n");
    return {};
}

static Text describe(ThreadClass kind) {
    switch (kind) {
        case ThreadClass::Kernel: return "kernel";
        case ThreadClass::Policy: return "policy";
        case ThreadClass::Idle: return "idle";
    }
    return "?";
}

Result<void> run_threads(Invocation& invocation) {
    constexpr Column kColumns[] = {{"ID", Right, "id"},
                                   {"NAME", Left, "name"},
                                   {"STATE", Left, "state"},
                                   {"CLASS", Left, "class"},
                                   {"CPU", Right, "cpu"},
                                   {"AFFINITY", Left, "affinity"},
                                   {"PRIORITY", Right, "priority"},
                                   {"RUNS WITH", Right, "effective_priority"},
                                   {"RUNTIME", Right, "runtime_ns"},
                                   {"SWITCHES", Right, "switches"}};
    Listing listing(invocation, kColumns);
    // In chunks, so that thousands of threads cost neither memory nor a lock held for long.
    constexpr size_t kChunk = 16;
    ThreadSnapshot chunk[kChunk];
    size_t position = 0;
    while (const size_t count = invocation.kernel.threads.snapshot(position, Span<ThreadSnapshot>(chunk, kChunk))) {
        for (const ThreadSnapshot& thread : Span<const ThreadSnapshot>(chunk, count)) {
            listing.cell(static_cast<uint32_t>(thread.id));
            listing.cell(thread.name.text());
            listing.cell(describe(thread.state));
            listing.cell(describe(thread.kind));
            listing.cell(thread.cpu);
            const bool is_bound = thread.allowed_cpus != ~uint64_t{0};
            listing.cell(is_bound ? format<20>("0x{:x}", thread.allowed_cpus).text() : Text("all"));
            listing.cell(thread.base_priority);
            listing.cell(thread.priority);
            listing.duration(thread.runtime_ns);
            listing.cell(thread.switches);
        }
    }
    listing.finish();
    return {};
}

Result<void> run_cpus(Invocation& invocation) {
    constexpr Column kColumns[] = {{"CPU", Right, "id"},
                                   {"ONLINE", Left, "online"},
                                   {"RUNNING", Left, "thread"},
                                   {"RUNNABLE", Right, "runnable"},
                                   {"SWITCHES", Right, "switches"},
                                   {"TICKS", Right, "ticks"},
                                   {"FALLBACK PICKS", Right, "fallback_picks"}};
    Listing listing(invocation, kColumns);
    Threads& threads = invocation.kernel.threads;
    for (CpuId id = 0; id < threads.cpu_count(); ++id) {
        Cpu& cpu = threads.cpu(id);
        preempt_disable();
        cpu.lock.acquire();
        const bool online = threads.cpus().is_online(id);
        const FixedText<29> thread = online ? cpu.current->name : FixedText<29>("-");
        const uint64_t runnable = cpu.ready_count;
        const uint64_t switches = cpu.switches;
        const uint64_t ticks = __atomic_load_n(&cpu.ticks, __ATOMIC_RELAXED);
        const uint64_t fifo_picks = cpu.fifo_picks;
        cpu.lock.release();
        preempt_enable();
        listing.cell(id);
        listing.flag(online);
        listing.cell(thread.text());
        listing.cell(runnable);
        listing.cell(switches);
        listing.cell(ticks);
        listing.cell(fifo_picks);
    }
    listing.finish();
    return {};
}

Result<void> run_cpu(Invocation& invocation) {
    const Text action = invocation.argument(0);
    Cpus& cpus = invocation.kernel.threads.cpus();
    const auto id = static_cast<CpuId>(TRY(number_argument(invocation.argument(1), "a CPU", cpus.count() - 1)));
    if (action == "online")
        TRY(cpus.bring_online(id));
    else if (action == "offline")
        TRY(cpus.take_offline(id));
    else
        return Error(ErrorCode::InvalidArgument, format("\"{}\" is neither online nor offline", action).text());
    if (invocation.json) {
        JsonWriter json(invocation.out);
        json.begin_object();
        json.field("id", id);
        json.field("online", cpus.is_online(id));
        json.end_object();
        invocation.out.write("\n");
    } else {
        invocation.out.print("CPU {} is {}\n", id, action);
    }
    return {};
}

Result<void> run_dump(Invocation& invocation) {
    Threads& threads = invocation.kernel.threads;
    JsonWriter json(invocation.out);
    if (invocation.json) json.begin_array();
    for (CpuId id = 0; id < threads.cpu_count(); ++id) {
        if (!threads.cpus().is_online(id)) continue;
        const Text text(invocation.scratch.data(), threads.dump_policy(id, invocation.scratch));
        if (text.empty()) return Error(ErrorCode::ModuleAbsent, "no scheduler rules that has something to say");
        if (!invocation.json) {
            invocation.out.print("CPU {}: ", id);
            invocation.out.write(text);
            continue;
        }
        json.begin_object();
        json.field("id", id);
        json.field("text", text);
        json.end_object();
    }
    if (invocation.json) {
        json.end_array();
        invocation.out.write("\n");
    }
    return {};
}

Result<void> run_locks(Invocation& invocation) {
    constexpr Column kColumns[] = {{"RANK", Left, "rank"},
                                   {"WAITERS", Left, "waiters"},
                                   {"CONTENDED", Right, "contended"},
                                   {"GAVE UP", Right, "expired"},
                                   {"INHERITED", Right, "inherited"}};
    Listing listing(invocation, kColumns);
    for (size_t i = 0; i < kLockRanks; ++i) {
        const auto rank = static_cast<LockRank>(i);
        const LockCounts counts = lock_counts(rank);
        listing.cell(describe(rank));
        listing.cell(sleeps(rank) ? Text("sleep") : Text("spin"));
        listing.cell(counts.contended);
        listing.cell(counts.expired);
        listing.cell(counts.inherited);
    }
    listing.finish();
    return {};
}

Result<void> run_memory(Invocation& invocation) {
    const MemoryStatistics memory = invocation.kernel.heap.statistics();
    Output& out = invocation.out;
    if (invocation.json) {
        JsonWriter json(out);
        json.begin_object();
        json.field("pages_total", memory.pages_total);
        json.field("pages_free", memory.pages_free);
        json.field("heap_pages", memory.heap_pages);
        json.field("heap_bytes_used", memory.heap_bytes_used);
        json.field("page_size", memory.page_size);
        json.end_object();
        out.write("\n");
        return {};
    }
    const uint64_t kilobytes = memory.page_size / 1024;
    constexpr Column kColumns[] = {{"MEMORY"}, {"PAGES", Right}, {"KIB", Right}};
    Table table(out, kColumns, invocation.scratch);
    const auto row = [&](Text name, uint64_t pages) {
        table.cell(name);
        table.cell(pages);
        table.cell(pages * kilobytes);
    };
    row("total", memory.pages_total);
    row("used", memory.pages_total - memory.pages_free);
    row("free", memory.pages_free);
    row("heap", memory.heap_pages);
    table.finish();
    out.print("{} of the heap {} in use.\n", counted(memory.heap_bytes_used, "byte"),
              memory.heap_bytes_used == 1 ? "is" : "are");
    return {};
}

Result<void> run_log(Invocation& invocation) {
    Log& log = invocation.kernel.log;
    Output& out = invocation.out;
    uint64_t count = Log::kLines;
    if (!invocation.arguments.empty())
        count = TRY(number_argument(invocation.argument(0), "a count of lines", Log::kLines));
    const uint64_t end = log.end();
    uint64_t number = end > count ? end - count : 0;
    if (number < log.first()) number = log.first();
    JsonWriter json(out);
    if (invocation.json) json.begin_array();
    for (LogLine line; number < end; ++number) {
        if (!log.read(number, line)) continue;  // overwritten meanwhile
        if (invocation.json) {
            json.begin_object();
            json.field("time_ns", line.time_ns);
            json.field("level", describe(line.level));
            json.field("source", line.source.text());
            json.field("text", line.text.text());
            json.end_object();
            continue;
        }
        out.print("{} {} {}: ", describe_log_time(line.time_ns), describe(line.level), line.source);
        out.write(line.text.text());
        out.write("\n");
    }
    if (invocation.json) json.end_array();
    if (!invocation.json && log.dropped() > 0)
        out.print("{} {} dropped.\n", counted(log.dropped(), "line"), log.dropped() == 1 ? "was" : "were");
    if (invocation.json) out.write("\n");
    return {};
}

Result<void> run_files(Invocation& invocation) {
    constexpr Column kColumns[] = {{"SIZE", Right, "size"}, {"NAME", Left, "name"}};
    Listing listing(invocation, kColumns);
    const ModuleSystem& modules = invocation.kernel.modules;
    for (const Archive* archive : {&modules.initrd(), &modules.bundle()}) {
        for (const ArchiveEntry& entry : *archive) {
            if (!entry.is_file() || entry.name == kScriptFile) continue;
            listing.cell(entry.data.size());
            listing.cell(entry.name);
        }
    }
    listing.finish();
    return {};
}

Result<void> run_echo(Invocation& invocation) {
    Output& out = invocation.out;
    if (invocation.json) {
        JsonWriter json(out);
        json.begin_array();
        for (Text word : invocation.arguments) json.value(word);
        json.end_array();
    } else {
        for (size_t i = 0; i < invocation.arguments.size(); ++i) {
            if (i > 0) out.write(" ");
            out.write(invocation.arguments[i]);
        }
    }
    out.write("\n");
    return {};
}

Result<void> run_sleep(Invocation& invocation) {
    const uint64_t milliseconds = TRY(number_argument(invocation.argument(0), "a time in milliseconds", 86'400'000));
    TRY(invocation.kernel.threads.sleep(milliseconds * 1'000'000));
    if (!invocation.json) return {};
    JsonWriter json(invocation.out);
    json.begin_object();
    json.field("slept_ms", milliseconds);
    json.end_object();
    invocation.out.write("\n");
    return {};
}

Result<void> run_settle(Invocation& invocation) {
    invocation.kernel.modules.settle();
    if (current_thread().cancelled) return ErrorCode::Cancelled;  // it was interrupted
    if (invocation.json) invocation.out.write("{}\n");
    return {};
}

Result<void> run_poweroff(Invocation& invocation) {
    if (!invocation.arguments.empty())
        invocation.end.status = static_cast<int>(TRY(number_argument(invocation.argument(0), "an exit status", 127)));
    invocation.end.wanted = true;
    if (!invocation.json) return {};
    JsonWriter json(invocation.out);
    json.begin_object();
    json.field("poweroff", true);
    json.end_object();
    invocation.out.write("\n");
    return {};
}

}  // namespace helix::kernel

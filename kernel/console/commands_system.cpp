// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Commands that look at the system or end it.
#include "kernel/console/commands.hpp"
#include "kernel/duration.hpp"
#include "kernel/kernel.hpp"

namespace helix::kernel {

namespace {
using enum Column::Align;

}  // namespace

Result<uint64_t> number_argument(const Invocation& invocation, size_t i, Text what, uint64_t maximum) {
    uint64_t value = 0;
    const Text text = invocation.argument(i);
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
        out.print("{} {}{}[--json] [--help]\n{}\n", command->name, command->usage,
                  command->usage.empty() ? Text() : Text(" "), command->help);
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
    // In chunks, so that thousands of threads cost neither memory nor a lock held for long.
    constexpr size_t kChunk = 16;
    ThreadSnapshot chunk[kChunk];
    size_t position = 0;
    const auto each = [&](auto visit) {
        while (const size_t count = invocation.kernel.threads.snapshot(position, Span<ThreadSnapshot>(chunk, kChunk)))
            for (size_t i = 0; i < count; ++i) visit(chunk[i]);
    };
    if (invocation.json) {
        JsonWriter json(invocation.out);
        json.begin_array();
        each([&](const ThreadSnapshot& thread) {
            json.begin_object();
            json.field("id", static_cast<uint32_t>(thread.id));
            json.field("name", thread.name.text());
            json.field("state", describe(thread.state));
            json.field("class", describe(thread.kind));
            json.field("cpu", thread.cpu);
            json.field("priority", thread.base_priority);
            json.field("effective_priority", thread.priority);
            json.field("runtime_ns", thread.runtime_ns);
            json.field("switches", thread.switches);
            json.end_object();
        });
        json.end_array();
        invocation.out.write("\n");
        return {};
    }
    constexpr Column kColumns[] = {
        {"ID", Right},        {"NAME"},       {"STATE"},          {"CLASS"},          {"PRIORITY", Right},
        {"RUNS WITH", Right}, {"CPU", Right}, {"RUNTIME", Right}, {"SWITCHES", Right}};
    Table table(invocation.out, kColumns, invocation.scratch);
    each([&](const ThreadSnapshot& thread) {
        table.cell(static_cast<uint32_t>(thread.id));
        table.cell(thread.name.text());
        table.cell(describe(thread.state));
        table.cell(describe(thread.kind));
        table.cell(thread.base_priority);
        table.cell(thread.priority);
        table.cell(thread.cpu);
        table.cell(describe_duration(thread.runtime_ns).text());
        table.cell(thread.switches);
    });
    table.finish();
    return {};
}

Result<void> run_cpus(Invocation& invocation) {
    struct Snapshot {
        FixedText<29> thread;
        bool online;
        uint64_t runnable;
        uint64_t switches;
        uint64_t ticks;
        uint64_t fifo_picks;
    };
    Threads& threads = invocation.kernel.threads;
    const auto snapshot = [&](CpuId id) {
        const PreemptionGuard guard;
        Cpu& cpu = threads.cpu(id);
        cpu.lock.acquire();
        const bool online = threads.cpus().is_online(id);
        const Snapshot out{
            online ? cpu.current->name : FixedText<29>("-"), online,        cpu.ready_count, cpu.switches,
            __atomic_load_n(&cpu.ticks, __ATOMIC_RELAXED),   cpu.fifo_picks};
        cpu.lock.release();
        return out;
    };
    JsonWriter json(invocation.out);
    constexpr Column kColumns[] = {{"CPU", Right},           {"ONLINE"},          {"RUNNING"},
                                   {"RUNNABLE", Right},      {"SWITCHES", Right}, {"TICKS", Right},
                                   {"FALLBACK PICKS", Right}};
    Table table(invocation.out, kColumns, invocation.scratch);
    if (invocation.json) json.begin_array();
    for (CpuId id = 0; id < threads.cpu_count(); ++id) {
        const Snapshot cpu = snapshot(id);
        if (invocation.json) {
            json.begin_object();
            json.field("id", id);
            json.field("online", cpu.online);
            json.field("thread", cpu.thread.text());
            json.field("runnable", cpu.runnable);
            json.field("switches", cpu.switches);
            json.field("ticks", cpu.ticks);
            json.field("fallback_picks", cpu.fifo_picks);
            json.end_object();
            continue;
        }
        table.cell(id);
        table.cell(cpu.online ? Text("yes") : Text("no"));
        table.cell(cpu.thread.text());
        table.cell(cpu.runnable);
        table.cell(cpu.switches);
        table.cell(cpu.ticks);
        table.cell(cpu.fifo_picks);
    }
    if (invocation.json) {
        json.end_array();
        invocation.out.write("\n");
    } else {
        table.finish();
    }
    return {};
}

Result<void> run_cpu(Invocation& invocation) {
    const Text action = invocation.argument(0);
    Cpus& cpus = invocation.kernel.threads.cpus();
    const auto id = static_cast<CpuId>(TRY(number_argument(invocation, 1, "a CPU", cpus.count() - 1)));
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

Result<void> run_locks(Invocation& invocation) {
    JsonWriter json(invocation.out);
    constexpr Column kColumns[] = {
        {"RANK"}, {"WAITERS"}, {"CONTENDED", Right}, {"GAVE UP", Right}, {"INHERITED", Right}};
    Table table(invocation.out, kColumns, invocation.scratch);
    if (invocation.json) json.begin_array();
    for (size_t i = 0; i < kLockRanks; ++i) {
        const auto rank = static_cast<LockRank>(i);
        const LockCounts counts = lock_counts(rank);
        const Text waiters = sleeps(rank) ? Text("sleep") : Text("spin");
        if (invocation.json) {
            json.begin_object();
            json.field("rank", describe(rank));
            json.field("waiters", waiters);
            json.field("contended", counts.contended);
            json.field("expired", counts.expired);
            json.field("inherited", counts.inherited);
            json.end_object();
            continue;
        }
        table.cell(describe(rank));
        table.cell(waiters);
        table.cell(counts.contended);
        table.cell(counts.expired);
        table.cell(counts.inherited);
    }
    if (invocation.json) {
        json.end_array();
        invocation.out.write("\n");
    } else {
        table.finish();
    }
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
    if (!invocation.arguments.empty()) count = TRY(number_argument(invocation, 0, "a count of lines", Log::kLines));
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
        out.print("{} {} {}: ", describe_time(line.time_ns), describe(line.level), line.source);
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
    JsonWriter json(invocation.out);
    constexpr Column kColumns[] = {{"SIZE", Right}, {"NAME"}};
    Table table(invocation.out, kColumns, invocation.scratch);
    if (invocation.json) json.begin_array();
    const ModuleSystem& modules = invocation.kernel.modules;
    for (const Archive* archive : {&modules.initrd(), &modules.bundle()}) {
        for (const ArchiveEntry& entry : *archive) {
            if (!entry.is_file() || entry.name == kScriptFile) continue;
            if (invocation.json) {
                json.begin_object();
                json.field("name", entry.name);
                json.field("size", entry.data.size());
                json.end_object();
                continue;
            }
            table.cell(entry.data.size());
            table.cell(entry.name);
        }
    }
    if (invocation.json) {
        json.end_array();
        invocation.out.write("\n");
    } else {
        table.finish();
    }
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
    const uint64_t milliseconds = TRY(number_argument(invocation, 0, "a time in milliseconds", 86'400'000));
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
        invocation.end.status = static_cast<int>(TRY(number_argument(invocation, 0, "an exit status", 127)));
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

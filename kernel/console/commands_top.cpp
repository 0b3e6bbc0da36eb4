// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The command `top`: what used the CPUs between two looks.
#include "kernel/console/console_input.hpp"
#include "kernel/console/listing.hpp"
#include "kernel/duration.hpp"
#include "kernel/kernel.hpp"

namespace helix::kernel {

namespace {

constexpr uint8_t kEscape = 0x1b;

/// Plain, and zero at first: lives on the heap while the command runs.
struct Top {
    static constexpr size_t kRows = 20;

    struct Use {
        uint64_t total;  ///< since boot
        uint64_t since;  ///< since the look before
        void look(uint64_t now) {
            since = now > total ? now - total : 0;
            total = now;
        }
    };
    struct Seen {
        ThreadId id;
        Use used_ns;
    };

    /// Looks again: what is shown next is the time since the look before. Errors: OutOfMemory.
    Result<void> look(Kernel& kernel);
    Result<void> look_at(Kernel& kernel, const ThreadSnapshot& thread);
    /// At most `lines` lines of 80 columns, of which half are for CPUs.
    void show(Invocation& invocation, size_t lines) const;
    uint64_t permille(uint64_t ns) const {
        const uint64_t share = interval_ns.since == 0 ? 0 : ns * 1000 / interval_ns.since;
        return share < 1000 ? share : 1000;
    }

    Use interval_ns;
    Use idle_ns[arch::kMaximumCpus];
    Use switches[arch::kMaximumCpus];
    uint64_t thread_count;
    size_t row_count;
    ThreadSnapshot rows[kRows];  ///< by their use of CPUs since the look before, which is their runtime here
    Seen* seen;                  ///< by places in the table of threads
    size_t seen_count;
};

Result<void> Top::look_at(Kernel& kernel, const ThreadSnapshot& thread) {
    const size_t place = Threads::position_of(thread.id);
    if (place >= seen_count) {
        const size_t count = place * 2 + 64;
        auto* const larger = static_cast<Seen*>(kernel.heap.allocate(count * sizeof(Seen)));
        if (larger == nullptr) return ErrorCode::OutOfMemory;
        __builtin_memset(static_cast<void*>(larger), 0, count * sizeof(Seen));
        if (seen != nullptr) __builtin_memcpy(larger, seen, seen_count * sizeof(Seen));
        kernel.heap.free(seen);
        seen = larger;
        seen_count = count;
    }
    Seen& before = seen[place];
    if (before.id != thread.id) before = {thread.id, {}};  // it was created since
    before.used_ns.look(thread.runtime_ns);
    ++thread_count;
    size_t row = row_count < kRows ? row_count++ : kRows;
    for (; row > 0 && rows[row - 1].runtime_ns < before.used_ns.since; --row)
        if (row < kRows) rows[row] = rows[row - 1];
    if (row == kRows) return {};
    rows[row] = thread;
    rows[row].runtime_ns = before.used_ns.since;
    return {};
}

Result<void> Top::look(Kernel& kernel) {
    Threads& threads = kernel.threads;
    interval_ns.look(arch::now_ns());
    for (CpuId id = 0; id < threads.cpu_count(); ++id) {
        Cpu& cpu = threads.cpu(id);
        preempt_disable();
        cpu.lock.acquire();
        uint64_t idle = cpu.idle->runtime_ns;
        if (cpu.current == cpu.idle) idle += threads.cycles_to_ns(arch::cycles() - cpu.switched_at_cycles);
        switches[id].look(cpu.switches);
        cpu.lock.release();
        preempt_enable();
        idle_ns[id].look(idle);
    }
    thread_count = row_count = 0;
    ThreadSnapshot thread;
    size_t position = 0;
    while (threads.snapshot(position, Span<ThreadSnapshot>(&thread, 1)) != 0) TRY(look_at(kernel, thread));
    return {};
}

constexpr Column kCpuColumns[] = {{"CPU", Column::Align::Right, "id"},
                                  {"ONLINE", Column::Align::Left, "online"},
                                  {"BUSY", Column::Align::Right, "busy_permille"},
                                  {"SWITCHES", Column::Align::Right, "switches"}};
constexpr Column kThreadColumns[] = {{"SHARE", Column::Align::Right, "share_permille"},
                                     {"ID", Column::Align::Right, "id"},
                                     {"NAME", Column::Align::Left, "name"},
                                     {"STATE", Column::Align::Left, "state"},
                                     {"CPU", Column::Align::Right, "cpu"},
                                     {"RUNS WITH", Column::Align::Right, "effective_priority"},
                                     {"USED", Column::Align::Right, "used_ns"}};

void Top::show(Invocation& invocation, size_t lines) const {
    const Cpus& cpus = invocation.kernel.threads.cpus();
    Output& out = invocation.out;
    if (invocation.json)
        out.print("{{\"interval_ns\":{},\"cpus\":", interval_ns.since);
    else
        out.print("up {}: {}, in the last {}\n", describe_duration(interval_ns.total), counted(thread_count, "thread"),
                  describe_duration(interval_ns.since));
    // Threads are what is looked for: there is room for them whatever the number of CPUs.
    const size_t shown = cpus.count() < lines / 2 ? cpus.count() : lines / 2;
    Listing listed(out, invocation.json, kCpuColumns, invocation.scratch);
    for (CpuId id = 0; id < shown; ++id) {
        const bool online = cpus.is_online(id);
        listed.cell(id);
        listed.flag(online);
        listed.share(online ? 1000 - permille(idle_ns[id].since) : 0);
        listed.cell(switches[id].since);
    }
    listed.end();
    out.write(invocation.json ? Text(",\"threads\":") : Text());
    Listing threads(out, invocation.json, kThreadColumns, invocation.scratch);
    for (size_t i = 0; i < row_count && shown + 3 + i < lines; ++i) {
        const ThreadSnapshot& thread = rows[i];
        threads.share(permille(thread.runtime_ns));
        threads.cell(static_cast<uint32_t>(thread.id));
        threads.cell(thread.name.text());
        threads.cell(describe(thread.state));
        threads.cell(thread.cpu);
        threads.cell(thread.priority);
        threads.duration(thread.runtime_ns);
    }
    threads.end();
    out.write(invocation.json ? Text("}\n") : Text());
}

/// Looks, shows, and looks again until a key is pressed, if somebody is there to press one.
Result<void> watch(Top& top, Invocation& invocation, uint64_t interval_ns) {
    constexpr size_t kLines = 23;  // of a terminal with 24: the prompt comes below
    ConsoleInput* const keys = invocation.json || !invocation.option.empty() ? nullptr : invocation.keys;
    const bool moves = boot_word(invocation.kernel.boot.command_line, "cursor") != "0";
    TRY(top.look(invocation.kernel));
    for (;;) {
        if (keys == nullptr) {
            TRY(invocation.kernel.threads.sleep(interval_ns));
        } else if (const WakeReason woken = keys->wait_for(interval_ns); woken != WakeReason::TimedOut) {
            if (woken == WakeReason::Cancelled) return ErrorCode::Cancelled;
            if (keys->next() == kEscape)
                while (keys->next() >= 0) continue;  // the rest of what one key sent
            return {};
        }
        TRY(top.look(invocation.kernel));
        if (keys != nullptr) arch::console_write(moves ? Text("\x1b[H\x1b[J") : Text("\n"));
        top.show(invocation, keys != nullptr ? kLines : 2 * arch::kMaximumCpus);
        if (keys == nullptr) return {};
        invocation.out.finish();
    }
}

}  // namespace

Result<void> run_top(Invocation& invocation) {
    uint64_t milliseconds = 1000;
    if (!invocation.arguments.empty())
        milliseconds = TRY(number_argument(invocation.argument(0), "a time in milliseconds", 3'600'000));
    if (milliseconds == 0) return Error(ErrorCode::InvalidArgument, "top looks again after a millisecond at least");
    auto* const top = static_cast<Top*>(invocation.kernel.heap.allocate(sizeof(Top), alignof(Top)));
    if (top == nullptr) return ErrorCode::OutOfMemory;
    __builtin_memset(static_cast<void*>(top), 0, sizeof(Top));
    const auto watched = watch(*top, invocation, milliseconds * 1'000'000);
    invocation.kernel.heap.free(top->seen);
    invocation.kernel.heap.free(top);
    return watched;
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The command `top`: what used the CPUs between two looks.
#include "kernel/console/commands.hpp"
#include "kernel/console/console_input.hpp"
#include "kernel/duration.hpp"
#include "kernel/kernel.hpp"
#include "kernel/memory/make.hpp"

namespace helix::kernel {

namespace {

constexpr uint8_t kEscape = 0x1b;

/// "12.3 %"
FixedText<12> describe_share(uint64_t permille) {
    return format<12>("{}.{} %", permille / 10, permille % 10);
}

/// Large: lives on the heap while the command runs.
class Top {
public:
    explicit Top(Kernel& kernel) : kernel_(kernel), threads_(kernel.threads) {}
    ~Top() { kernel_.heap.free(seen_); }
    Top(const Top&) = delete;
    Top& operator=(const Top&) = delete;

    /// Looks again: what is printed next is the time since the look before. Errors: OutOfMemory.
    Result<void> look();
    /// At most `lines` lines of 80 columns.
    void print(Invocation& invocation, size_t lines) const;
    void write(Invocation& invocation) const;

private:
    static constexpr size_t kRows = 20;
    static constexpr size_t kCpusInLine = 5;

    struct Row {
        ThreadSnapshot thread{};
        uint64_t used_ns = 0;  ///< since the look before
        uint64_t switches = 0;
    };
    struct Seen {
        ThreadId id;
        uint32_t switches;
        uint64_t runtime_ns;
    };
    struct CpuUse {
        bool online = false;
        uint64_t idle_total_ns = 0;
        uint64_t switches_total = 0;
        uint64_t busy_permille = 0;
        uint64_t switches = 0;
    };

    void look_at(CpuId id);
    Result<void> look_at(const ThreadSnapshot& thread);
    void insert(const Row& row);
    uint64_t permille(uint64_t ns) const {
        const uint64_t share = interval_ns_ == 0 ? 0 : ns * 1000 / interval_ns_;
        return share < 1000 ? share : 1000;
    }

    Kernel& kernel_;
    Threads& threads_;
    uint64_t looked_ns_ = 0;
    uint64_t interval_ns_ = 0;
    CpuUse cpus_[arch::kMaximumCpus];
    size_t thread_count_ = 0;
    size_t row_count_ = 0;
    Row rows_[kRows];  ///< by their use of CPUs, then as they are listed
    Seen* seen_ = nullptr;  ///< by places in the table of threads
    size_t capacity_ = 0;
};

void Top::look_at(CpuId id) {
    const PreemptionGuard guard;
    CpuUse& use = cpus_[id];
    Cpu& cpu = threads_.cpu(id);
    cpu.lock.acquire();
    uint64_t idle_ns = cpu.idle->runtime_ns;
    if (cpu.current == cpu.idle) idle_ns += threads_.cycles_to_ns(arch::cycles() - cpu.switched_at_cycles);
    const uint64_t switches = cpu.switches;
    cpu.lock.release();
    use.online = threads_.cpus().is_online(id);
    // The idle thread of one that comes back begins to count anew what it did meanwhile.
    const uint64_t idle = permille(idle_ns > use.idle_total_ns ? idle_ns - use.idle_total_ns : 0);
    use.busy_permille = use.online ? 1000 - idle : 0;
    use.switches = switches - use.switches_total;
    use.idle_total_ns = idle_ns;
    use.switches_total = switches;
}

Result<void> Top::look_at(const ThreadSnapshot& thread) {
    const size_t place = (static_cast<uint32_t>(thread.id) - 1) % Threads::kMaximumThreads;
    if (place >= capacity_) {
        const size_t capacity = (place + 64) / 64 * 64 + 64;
        auto* const larger = static_cast<Seen*>(kernel_.heap.allocate(capacity * sizeof(Seen)));
        if (larger == nullptr) return ErrorCode::OutOfMemory;
        for (size_t i = 0; i < capacity; ++i) larger[i] = i < capacity_ ? seen_[i] : Seen{};
        kernel_.heap.free(seen_);
        seen_ = larger;
        capacity_ = capacity;
    }
    Seen& seen = seen_[place];
    if (seen.id != thread.id) seen = {thread.id, 0, 0};  // it was created since
    const auto switches = static_cast<uint32_t>(thread.switches);
    const uint64_t used_ns = thread.runtime_ns > seen.runtime_ns ? thread.runtime_ns - seen.runtime_ns : 0;
    insert({thread, used_ns, switches - seen.switches});
    seen = {thread.id, switches, thread.runtime_ns};
    return {};
}

void Top::insert(const Row& row) {
    ++thread_count_;
    size_t place = row_count_;
    while (place > 0 && rows_[place - 1].used_ns < row.used_ns) --place;
    if (place == kRows) return;
    if (row_count_ < kRows) ++row_count_;
    for (size_t i = row_count_ - 1; i > place; --i) rows_[i] = rows_[i - 1];
    rows_[place] = row;
}

Result<void> Top::look() {
    const uint64_t now_ns = arch::now_ns();
    interval_ns_ = now_ns - looked_ns_;
    looked_ns_ = now_ns;
    for (CpuId id = 0; id < threads_.cpu_count(); ++id) look_at(id);
    thread_count_ = row_count_ = 0;
    ThreadSnapshot chunk[8];
    size_t position = 0;
    while (const size_t count = threads_.snapshot(position, Span<ThreadSnapshot>(chunk, 8)))
        for (size_t i = 0; i < count; ++i) TRY(look_at(chunk[i]));
    return {};
}

void Top::print(Invocation& invocation, size_t lines) const {
    Output& out = invocation.out;
    uint64_t switches = 0;
    for (CpuId id = 0; id < threads_.cpu_count(); ++id) switches += cpus_[id].switches;
    out.print("up {}: {}, {} switches in {}\n", describe_duration(looked_ns_), counted(thread_count_, "thread"), switches,
              describe_duration(interval_ns_));
    size_t used = 2;
    for (CpuId id = 0; id < threads_.cpu_count(); ++id) {
        if (id % kCpusInLine == 0) ++used;
        auto cell = format<16>("cpu {} {}", id,
                               cpus_[id].online ? describe_share(cpus_[id].busy_permille).text() : Text("offline"));
        const bool last = id % kCpusInLine == kCpusInLine - 1 || id == threads_.cpu_count() - 1;
        out.write(cell.text());
        for (size_t i = cell.size(); i < 16 && !last; ++i) out.write(" ");
        if (last) out.write("\n");
    }
    using enum Column::Align;
    constexpr Column kColumns[] = {{"SHARE", Right},    {"ID", Right},  {"NAME"}, {"STATE"},
                                   {"PRIORITY", Right}, {"CPU", Right}, {"SWITCHES", Right}};
    Table table(out, kColumns, invocation.scratch);
    for (size_t i = 0; i < row_count_ && used + i < lines; ++i) {
        const ThreadSnapshot& thread = rows_[i].thread;
        table.cell(describe_share(permille(rows_[i].used_ns)).text());
        table.cell(static_cast<uint32_t>(thread.id));
        table.cell(thread.name.text());
        table.cell(describe(thread.state));
        table.cell(thread.priority);
        table.cell(thread.cpu);
        table.cell(rows_[i].switches);
    }
    table.finish();
}

void Top::write(Invocation& invocation) const {
    JsonWriter json(invocation.out);
    json.begin_object();
    json.field("interval_ns", interval_ns_);
    json.key("cpus");
    json.begin_array();
    for (CpuId id = 0; id < threads_.cpu_count(); ++id) {
        json.begin_object();
        json.field("id", id);
        json.field("online", cpus_[id].online);
        json.field("busy_permille", cpus_[id].busy_permille);
        json.field("switches", cpus_[id].switches);
        json.end_object();
    }
    json.end_array();
    json.key("threads");
    json.begin_array();
    for (size_t i = 0; i < row_count_; ++i) {
        const ThreadSnapshot& thread = rows_[i].thread;
        json.begin_object();
        json.field("id", static_cast<uint32_t>(thread.id));
        json.field("name", thread.name.text());
        json.field("state", describe(thread.state));
        json.field("cpu", thread.cpu);
        json.field("effective_priority", thread.priority);
        json.field("share_permille", permille(rows_[i].used_ns));
        json.field("used_ns", rows_[i].used_ns);
        json.field("switches", rows_[i].switches);
        json.end_object();
    }
    json.end_array();
    json.end_object();
    invocation.out.write("\n");
}

/// Looks, shows, and looks again until a key is pressed, if somebody is there to press one.
Result<void> watch(Top& top, Invocation& invocation, uint64_t interval_ns) {
    constexpr size_t kLines = 23;  // of a terminal with 24: the prompt comes below
    ConsoleInput* const keys = invocation.json || invocation.option ? nullptr : invocation.keys;
    const bool moves = boot_word(invocation.kernel.boot.command_line, "cursor") != "0";
    TRY(top.look());
    for (;;) {
        if (keys == nullptr) {
            TRY(invocation.kernel.threads.sleep(interval_ns));
        } else if (const WakeReason woken = keys->wait_for(interval_ns); woken == WakeReason::Cancelled) {
            return ErrorCode::Cancelled;
        } else if (woken != WakeReason::TimedOut) {
            if (keys->next() == kEscape)
                while (keys->next() >= 0) continue;  // the rest of what one key sent
            return {};
        }
        TRY(top.look());
        if (keys != nullptr) arch::console_write(moves ? Text("\x1b[H\x1b[J") : Text("\n"));
        if (invocation.json)
            top.write(invocation);
        else
            top.print(invocation, keys == nullptr ? SIZE_MAX : kLines);
        if (keys == nullptr) return {};
        invocation.out.finish();
    }
}

}  // namespace

Result<void> run_top(Invocation& invocation) {
    uint64_t milliseconds = 1000;
    if (!invocation.arguments.empty())
        milliseconds = TRY(number_argument(invocation, 0, "a time in milliseconds", 3'600'000));
    if (milliseconds == 0) return Error(ErrorCode::InvalidArgument, "top looks again after a millisecond at least");
    Top* const top = make<Top>(invocation.kernel.heap, invocation.kernel);
    if (top == nullptr) return ErrorCode::OutOfMemory;
    const auto watched = watch(*top, invocation, milliseconds * 1'000'000);
    unmake(invocation.kernel.heap, top);
    return watched;
}

}  // namespace helix::kernel

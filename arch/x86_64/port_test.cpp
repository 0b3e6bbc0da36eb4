// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A kernel that only tests the port: every promise of arch/seam.hpp. port_test_cpus.cpp has those of many CPUs.
//
// Words on the command line: `cpus_expected=N` fails with another number of CPUs, `only_cpus` leaves the rest out,
// `status=N` is the exit status when all checks passed (else 1), `input=TEXT` waits for that text and a newline on the
// console, `restart` ends with a restart, `bundle=N` and `initrd=N` are the sizes to expect.

#include "arch/x86_64/port_test.hpp"

#include <atomic>
#include <initializer_list>

using namespace helix;
using namespace helix::port_test;

namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kTick = 100'000;

std::atomic<uint32_t> failures = 0;

// ---- Memory for translation tables, and a way to run out of it.

arch::MemoryRange pool;
uint64_t free_list = 0;
int64_t frames_in_use = 0;
int64_t frames_allowed = INT64_MAX;

// ---- Per-CPU data and expectations of the handlers.

CpuLocal local;
volatile uint64_t ticks = 0;
volatile uint64_t tick_ns = kTick;  // the boot CPU's
volatile uint64_t console_inputs = 0;
volatile bool without_ticks = false;  // the boot CPU's timer only counts:
volatile uint64_t fired = 0, fired_ns = 0;
volatile uint64_t kill_at_tick = 0;  // end the innermost gate then
volatile bool switch_in_tick = false;
volatile uint32_t slow_ticks = 0, deepest_tick = 0;
volatile bool tick_at_count_one = false;
kernel::Fault last_fault;
uint64_t last_fault_instruction = 0;
uint64_t faults = 0;
volatile bool fault_in_fault = false;

bool direction_is_down() {
    uint64_t flags;
    asm volatile("pushfq\n\tpopq %0" : "=r"(flags)::"memory");
    return (flags & 1u << 10) != 0;
}

// ---- Things that modules do wrong.

uint8_t* guarded_stack = nullptr;
constexpr size_t kGuardedPages = 4;
uint64_t depth = 0;

[[gnu::noinline]] uint64_t recurse(uint64_t n) {
    volatile uint64_t here[16];
    here[n % 16] = n;
    ++depth;
    const uint64_t below = n == UINT64_MAX ? 0 : recurse(n + 1);
    return below + here[n % 16];
}

struct Culprit final {
    virtual uint64_t behave(uint64_t a, uint64_t b) { return a * 1000 + b; }
    virtual void read_null() { asm volatile("movq 0, %%rax" ::: "rax", "memory"); }
    virtual void write_low() { asm volatile("movq $1, 0x1000" ::: "memory"); }
    virtual void undefined() { asm volatile("ud2"); }
    virtual void divide() { asm volatile("xorl %%ecx, %%ecx\n\tdivl %%ecx" ::: "rax", "rcx", "rdx"); }
    virtual void non_canonical() {
        asm volatile("movabsq $0x1234567890abcdef, %%rax\n\tmovq (%%rax), %%rax" ::: "rax");
    }
    virtual void non_canonical_stack() {
        asm volatile("movabsq $0x1234567890abcde0, %%rsp\n\tpushq %%rax" ::: "memory");
    }
    virtual void jump_non_canonical() { asm volatile("movabsq $0x1234567890abcdef, %%rax\n\tjmpq *%%rax" ::: "rax"); }
    virtual void write_text() { asm volatile("movb $0, (%0)" ::"r"(reinterpret_cast<void*>(&recurse)) : "memory"); }
    virtual void write_text_alias() {
        const uint64_t alias = reinterpret_cast<uint64_t>(&recurse) - 0xffff'ffff'8000'0000;
        asm volatile("movb $0, (%0)" ::"r"(arch::direct_map(alias)) : "memory");
    }
    virtual void write_constant() { asm volatile("movb $0, (%0)" ::"r"("constant") : "memory"); }
    virtual void execute_data() {
        static uint8_t code[1] = {0xc3};
        asm volatile("callq *%0" ::"r"(code) : "memory");
    }
    virtual void execute_direct_map() {
        const uint64_t alias = reinterpret_cast<uint64_t>(&recurse) - 0xffff'ffff'8000'0000;
        asm volatile("callq *%0" ::"r"(arch::direct_map(alias)) : "memory");
    }
    virtual void breakpoint() { asm volatile("int3"); }
    virtual void vector_code() { asm volatile(".byte 0x0f, 0x57, 0xc0"); }  // xorps
    virtual void x87_code() { asm volatile(".byte 0xd9, 0xe8"); }           // fld1
    virtual void software_interrupt() { asm volatile("int $0x80"); }
    virtual void overflow() {
        asm volatile("movq %0, %%rsp\n\tcallq *%1" ::"r"(guarded_stack + kGuardedPages * kPage), "r"(&recurse),
                     "D"(0ull)
                     : "memory");
    }
    virtual void far_overflow() {  // a frame larger than the guard page, first touched high above the stack pointer
        asm volatile("movq %0, %%rsp\n\tmovb $1, 0x1800(%%rsp)" ::"r"(guarded_stack - 0x2000) : "memory");
    }
    virtual void fault_without_interrupts() { asm volatile("cli\n\tstd\n\tud2"); }
    virtual void fault_with_preemption_off() {
        preempt_disable();
        preempt_disable();
        asm volatile("ud2");
    }
    virtual void endless() {
        for (;;) asm volatile("");
    }
    virtual void endless_with_preemption_off() {
        preempt_disable();
        for (;;) asm volatile("");
    }
    virtual void give_up() {
        preempt_disable();
        asm volatile("std");
        arch::gate_resume(*local.gate, GateFailure::Abort);
    }
};

Culprit culprit;
InstanceToken* const kInstance = nullptr;

template <auto Method>
void expect_fault(Text name, kernel::FaultKind kind, bool write = false, bool execute = false,
                  uint64_t address = UINT64_MAX) {
    const uint64_t before = faults;
    const GateFailure failure = gate_call<Method>(kInstance, &culprit, nullptr);
    const bool as_expected = failure == GateFailure::Fault && faults == before + 1 && last_fault.kind == kind &&
                             last_fault.write == write && last_fault.execute == execute &&
                             (address == UINT64_MAX || last_fault.address == address);
    check(as_expected, name);
    if (!as_expected)
        print("  failure ", Number(static_cast<uint64_t>(failure)).text(), " kind ",
              Number(static_cast<uint64_t>(last_fault.kind)).text(), " address ", Number(last_fault.address, 16).text(),
              "\n");
    check(interrupts_are_on() && !direction_is_down() && preemption_count() == 0 && local.gate == nullptr,
          "a gate restores interrupts, direction, preemption count and the chain");
}

void test_faults() {
    using kernel::FaultKind;
    uint64_t sum = 0;
    const GateFailure none = gate_call<&Culprit::behave>(kInstance, &culprit, &sum, 7ull, 5ull);
    check(none == GateFailure::None && sum == 7005, "a call that succeeds");
    expect_fault<&Culprit::read_null>("read_null", FaultKind::PageFault, false, false, 0);
    expect_fault<&Culprit::write_low>("write_low", FaultKind::PageFault, true, false, 0x1000);
    expect_fault<&Culprit::undefined>("undefined", FaultKind::InvalidOpcode);
    expect_fault<&Culprit::divide>("divide", FaultKind::DivideError);
    expect_fault<&Culprit::non_canonical>("non_canonical", FaultKind::GeneralProtection);
    expect_fault<&Culprit::non_canonical_stack>("non_canonical_stack", FaultKind::GeneralProtection);
    expect_fault<&Culprit::jump_non_canonical>("jump_non_canonical", FaultKind::GeneralProtection);
    expect_fault<&Culprit::write_text>("write_text", FaultKind::PageFault, true);
    expect_fault<&Culprit::write_text_alias>("write_text_alias", FaultKind::PageFault, true);
    expect_fault<&Culprit::write_constant>("write_constant", FaultKind::PageFault, true);
    expect_fault<&Culprit::execute_data>("execute_data", FaultKind::PageFault, false, true);
    expect_fault<&Culprit::execute_direct_map>("execute_direct_map", FaultKind::PageFault, false, true);
    expect_fault<&Culprit::breakpoint>("breakpoint", FaultKind::Breakpoint);
    expect_fault<&Culprit::vector_code>("vector_code", FaultKind::InvalidOpcode);
    expect_fault<&Culprit::x87_code>("x87_code", FaultKind::InvalidOpcode);
    expect_fault<&Culprit::software_interrupt>("software_interrupt", FaultKind::GeneralProtection);
    expect_fault<&Culprit::overflow>("overflow", FaultKind::StackOverflow, true);
    expect_fault<&Culprit::far_overflow>("far_overflow", FaultKind::StackOverflow, true);
    expect_fault<&Culprit::fault_without_interrupts>("fault_without_interrupts", FaultKind::InvalidOpcode);
    expect_fault<&Culprit::fault_with_preemption_off>("fault_with_preemption_off", FaultKind::InvalidOpcode);

    check(gate_call<&Culprit::give_up>(kInstance, &culprit, nullptr) == GateFailure::Abort, "gate_resume");
    check(interrupts_are_on() && !direction_is_down() && preemption_count() == 0, "gate_resume restores");

    preempt_disable();
    preempt_disable();
    check(gate_call<&Culprit::fault_with_preemption_off>(kInstance, &culprit, nullptr) == GateFailure::Fault &&
              preemption_count() == 2,
          "a gate entered with preemption off comes back with preemption off");
    preempt_enable();
    preempt_enable();

    fault_in_fault = true;
    const uint64_t before = faults;
    check(gate_call<&Culprit::undefined>(kInstance, &culprit, nullptr) == GateFailure::Fault && faults == before + 2,
          "a fault inside on_fault returns to the gate opened there");
    fault_in_fault = false;
}

void test_endless_loops() {
    kill_at_tick = ticks + 3;
    check(gate_call<&Culprit::endless>(kInstance, &culprit, nullptr) == GateFailure::Budget, "an endless loop ends");
    check(interrupts_are_on() && preemption_count() == 0, "after a loop was ended");
    kill_at_tick = ticks + 3;
    check(gate_call<&Culprit::endless_with_preemption_off>(kInstance, &culprit, nullptr) == GateFailure::Budget,
          "an endless loop with preemption off ends");
    check(interrupts_are_on() && preemption_count() == 0, "after a loop with preemption off was ended");
}

// Ticks that come while the stack is nearly full hit the guard page themselves.
void test_overflow_under_ticks() {
    tick_ns = 20'000;
    for (int i = 0; i < 300; ++i) {
        depth = 0;
        check(gate_call<&Culprit::overflow>(kInstance, &culprit, nullptr) == GateFailure::Fault &&
                  last_fault.kind == kernel::FaultKind::StackOverflow,
              "overflow under ticks");
    }
    // A tick in service without a handler would block all that follow.
    const uint64_t before = ticks;
    while (ticks < before + 3) arch::spin_hint();
    tick_ns = kTick;
}

// The frame of an interrupt itself finds no stack: run with the stack pointer at the guard page until a tick comes.
struct Brink final {
    virtual void wait_for_tick() {
        asm volatile(
            "movq %0, %%rsp\n"
            "1: jmp 1b" ::"r"(guarded_stack)
            : "memory");
    }
};
Brink brink;

void test_lost_interrupt() {
    for (int i = 0; i < 3; ++i) {
        check(gate_call<&Brink::wait_for_tick>(kInstance, &brink, nullptr) == GateFailure::Fault &&
                  last_fault.kind == kernel::FaultKind::StackOverflow,
              "a tick without stack is a stack overflow");
        const uint64_t before = ticks;
        const uint64_t begin = arch::now_ns();
        while (ticks < before + 2 && arch::now_ns() - begin < 1'000'000'000) arch::spin_hint();
        check(ticks >= before + 2, "ticks go on after one found no stack");
    }
}

// ---- Threads.

arch::ThreadContext main_context, other_context;
alignas(16) uint8_t other_stack[16384];
uint64_t handed = 0;

void ping(void* argument) {
    check(argument == &handed, "a thread gets its argument");
    check((reinterpret_cast<uint64_t>(__builtin_frame_address(0)) & 15) == 0, "a thread's stack is aligned");
    for (;;) {
        ++handed;
        arch::context_switch(other_context, main_context);
    }
}

void spin_forever(void*) {
    local.gate = nullptr;
    preempt_enable();  // begun inside a tick
    for (;;) {
        ++handed;
        asm volatile("" ::: "memory");
    }
}

void test_contexts() {
    arch::context_create(other_context, MutableBytes(other_stack), ping, &handed);
    arch::context_announce(other_context, MutableBytes(other_stack));
    preempt_disable();
    const uint64_t begin = arch::cycles();
    constexpr uint64_t kRounds = 1000;
    for (uint64_t i = 0; i < kRounds; ++i) arch::context_switch(main_context, other_context);
    const uint64_t spent = arch::cycles() - begin;
    preempt_enable();
    check(handed == kRounds, "context_switch");
    check(interrupts_are_on(), "interrupts stay on in threads");
    print("switch there and back: ", Number(spent / kRounds).text(), " cycles\n");
    arch::context_retire(other_context);

    // A tick takes the CPU from a thread that never gives it up, and gives it back.
    handed = 0;
    arch::context_create(other_context, MutableBytes(other_stack), spin_forever, nullptr);
    switch_in_tick = true;
    const uint64_t before = ticks;
    while (ticks < before + 10) arch::spin_hint();
    switch_in_tick = false;
    check(handed > 0, "a tick switches threads");
    check(preemption_count() == 0, "preemption count after switches in ticks");
}

/// Where handling a tick takes longer than a tick, they must not pile up on the stack.
void test_slow_ticks() {
    slow_ticks = 20;
    while (slow_ticks != 0) arch::spin_hint();
    check(deepest_tick == 2, "a slow tick is interrupted once");
    check(preemption_count() == 0, "preemption count after slow ticks");
}

// ---- Memory.

void test_mapping(const arch::BootInfo& boot) {
    const int64_t before = frames_in_use;
    const auto frame = kernel::allocate_frame();
    check(frame.ok(), "a frame");
    // Two pages on either side of a 2 MiB border, in a corner of the region that nothing uses.
    auto* const at = reinterpret_cast<uint8_t*>(boot.region.end - (1u << 30) + (2u << 20) - 2 * kPage);
    const arch::PhysicalAddress address = pool.end - 8 * kPage;
    check(arch::map(at, address, 4, arch::Protection::ReadWrite).ok(), "map");
    for (size_t i = 0; i < 4; ++i) at[i * kPage] = static_cast<uint8_t>(0x40 + i);
    const auto* const seen = static_cast<const uint8_t*>(arch::direct_map(address));
    bool same = true;
    for (size_t i = 0; i < 4; ++i) same = same && seen[i * kPage] == 0x40 + i;
    check(same, "what is written to a mapping is in the direct map");
    check(arch::physical_of(seen) == address, "physical_of");
    arch::unmap(at + kPage, 1);
    check(arch::map(at + kPage, address, 1, arch::Protection::Read).ok() && at[kPage] == 0x40,
          "an unmapped page maps anew");
    arch::unmap(at, 6);
    check(frames_in_use == before + 1, "unmap gives translation tables back");

    for (int64_t allowed = 0; allowed < 3; ++allowed) {
        frames_allowed = allowed;
        check(!arch::map(at, address, 4, arch::Protection::ReadWrite).ok(), "map reports lack of memory");
        frames_allowed = INT64_MAX;
        check(frames_in_use == before + 1, "a failed map leaves no table behind");
    }
    kernel::free_frame(frame.value());

    auto* const code = at;
    static_cast<uint8_t*>(arch::direct_map(address))[0] = 0xc3;  // ret
    check(arch::map(code, address, 1, arch::Protection::ReadExecute).ok(), "map executable");
    reinterpret_cast<void (*)()>(code)();
    arch::unmap(code, 1);
    check(frames_in_use == before, "all frames are back");

    const uint64_t stack = boot.region.begin + 16 * kPage;
    guarded_stack = reinterpret_cast<uint8_t*>(stack);
    check(arch::map(guarded_stack, pool.end - kGuardedPages * kPage, kGuardedPages, arch::Protection::ReadWrite).ok(),
          "a stack");
}

struct Protected final {
    virtual void write(uint8_t* at) { asm volatile("movb $1, (%0)" ::"r"(at) : "memory"); }
    virtual void call(uint8_t* at) { asm volatile("callq *%0" ::"r"(at) : "memory"); }
};
Protected intruder;

void test_protection(const arch::BootInfo& boot) {
    auto* const at = reinterpret_cast<uint8_t*>(boot.region.begin + (8u << 20));
    const arch::PhysicalAddress address = pool.end - 8 * kPage;
    static_cast<uint8_t*>(arch::direct_map(address))[0] = 0xc3;
    const struct {
        arch::Protection protection;
        bool write, execute;
    } cases[] = {{arch::Protection::Read, false, false},
                 {arch::Protection::ReadWrite, true, false},
                 {arch::Protection::ReadExecute, false, true}};
    for (const auto& entry : cases) {
        check(arch::map(at, address, 1, entry.protection).ok(), "map for protection");
        const bool runs = gate_call<&Protected::call>(kInstance, &intruder, nullptr, at) == GateFailure::None;
        const bool writes = gate_call<&Protected::write>(kInstance, &intruder, nullptr, at) == GateFailure::None;
        check(writes == entry.write && runs == entry.execute, "protection of a mapping");
        arch::unmap(at, 1);
        check(gate_call<&Protected::write>(kInstance, &intruder, nullptr, at) == GateFailure::Fault, "unmapped");
        static_cast<uint8_t*>(arch::direct_map(address))[0] = 0xc3;
    }
}

// About a thousand pages of each range, the first among them, keep what is written there.
void test_ram(const arch::BootInfo& boot) {
    const auto pattern_at = [](uint64_t at) { return static_cast<volatile uint64_t*>(arch::direct_map(at)); };
    bool same = true;
    for (const bool writes : {true, false}) {
        for (const arch::MemoryRange& range : boot.memory) {
            const uint64_t step = ((range.end - range.begin) / 1024 / kPage + 1) * kPage;
            for (uint64_t at = range.begin; at < range.end; at += step) {
                if (writes) *pattern_at(at) = ~at;
                same = same && *pattern_at(at) == ~at;
            }
        }
    }
    check(same, "free memory is memory");
}

void test_memory_functions() {
    static uint8_t a[256], b[256], expected[256];
    for (size_t size = 0; size < 80; ++size)
        for (size_t from = 0; from < 40; from += 3)
            for (size_t to = 0; to < 40; ++to) {
                for (size_t i = 0; i < 256; ++i) a[i] = expected[i] = static_cast<uint8_t>(i * 7 + 1);
                for (size_t i = 0; i < size; ++i) expected[to + i] = static_cast<uint8_t>((from + i) * 7 + 1);
                volatile size_t count = size;
                __builtin_memmove(a + to, a + from, count);
                bool same = true;
                for (size_t i = 0; i < 256; ++i) same = same && a[i] == expected[i];
                if (!same) return check(false, "memmove");
            }
    for (size_t size = 0; size < 80; ++size) {
        volatile size_t count = size;
        for (size_t i = 0; i < 256; ++i) a[i] = static_cast<uint8_t>(i), b[i] = 0xee;
        __builtin_memcpy(b + 3, a + 5, count);
        for (size_t i = 0; i < 256; ++i)
            check(b[i] == (i >= 3 && i < 3 + size ? static_cast<uint8_t>(i + 2) : 0xee), "memcpy");
        __builtin_memset(b + 3, 0x77, count);
        for (size_t i = 0; i < 256; ++i) check(b[i] == (i >= 3 && i < 3 + size ? 0x77 : 0xee), "memset");
        __builtin_memcpy(b, a, 256);
        check(__builtin_memcmp(a, b, count) == 0, "memcmp of equals");
        if (size > 0) {
            b[size / 2] ^= 0x80;
            const int sign = a[size / 2] < b[size / 2] ? -1 : 1;
            check(__builtin_memcmp(a, b, count) * sign > 0, "memcmp orders bytes without sign");
        }
    }
    const char* volatile text = "seven77";
    check(__builtin_strlen(text) == 7, "strlen");
}

// ---- Command line.

/// The value of `key` on the command line, up to the next blank; `found` tells a missing one from an empty one.
Text value_of(Text line, Text key, bool& found) {
    for (size_t at = 0; at < line.size();) {
        size_t end = line.find(' ', at);
        if (end == SIZE_MAX) end = line.size();
        const Text word = line.substr(at, end - at);
        if (word.starts_with(key)) {
            found = true;
            return word.substr(key.size());
        }
        at = end + 1;
    }
    found = false;
    return {};
}
uint64_t number_of(Text line, Text key, uint64_t otherwise) {
    bool found;
    const Text digits = value_of(line, key, found);
    if (!found) return otherwise;
    uint64_t value = 0;
    for (char c : digits) value = value * 10 + static_cast<uint64_t>(c - '0');
    return value;
}

void test_input(Text expected) {
    print("reading\n");
    FixedText<64> line;
    for (;;) {
        const uint64_t inputs = console_inputs;
        for (int byte; (byte = arch::console_read()) >= 0 && byte != '\n';) {
            if (!line.append(static_cast<char>(byte))) return check(false, "input longer than expected");
        }
        if (line.text() == expected) break;
        const uint64_t begin = arch::now_ns();
        while (console_inputs == inputs && arch::now_ns() - begin < 5'000'000'000) {
            preempt_disable();
            arch::idle();
            preempt_enable();
        }
        if (console_inputs == inputs) return check(false, "no interrupt for input");
    }
    check(console_inputs > 0, "input raises an interrupt");
}

/// The archive of a test is the bytes 0, 1, 2, …
void test_archive(Bytes archive, uint64_t size, Text what) {
    bool same = archive.size() == size;
    for (size_t i = 0; i < archive.size() && same; ++i) same = archive[i] == static_cast<uint8_t>(i);
    check(same, what);
}

/// Waits for the one interrupt that is to come; when it came.
uint64_t await_timer(uint64_t fired_before) {
    // Nothing but the timer wakes this CPU, so idle() cannot be used: an interrupt right before it would be missed.
    while (fired == fired_before) arch::spin_hint();
    check(fired == fired_before + 1, "a deadline gives one interrupt");
    return fired_ns;
}

void test_timer() {
    constexpr uint64_t kHour = 3'600'000'000'000;
    uint64_t latest = 0;
    without_ticks = true;
    uint64_t before = fired;
    for (uint64_t i = 0; i < 200; ++i) {
        const uint64_t due_ns = arch::now_ns() + i * 20'000;
        arch::set_timer(due_ns);
        const uint64_t late = await_timer(before++) - due_ns;
        check(static_cast<int64_t>(late) >= 0, "no interrupt before its deadline");
        if (late > latest) latest = late;
    }
    const uint64_t later_ns = arch::now_ns() + 3'000'000;
    arch::set_timer(arch::now_ns() + 100'000);
    arch::set_timer(later_ns);
    check(await_timer(before++) >= later_ns, "a later deadline takes an earlier one's place");
    arch::set_timer(arch::now_ns() + kHour);
    arch::set_timer(arch::now_ns() + 100'000);
    await_timer(before++);
    arch::set_timer(arch::now_ns() + kHour);
    arch::set_timer(0);
    await_timer(before++);
    arch::set_timer(arch::now_ns() + 100'000);
    arch::set_timer(arch::kNever);
    const uint64_t until_ns = arch::now_ns() + 1'000'000;
    while (arch::now_ns() < until_ns) arch::spin_hint();
    check(fired == before, "no interrupt when none is wanted");
    without_ticks = false;
    tick_again();
    print("deadlines: at most ", Number(latest).text(), " ns late\n");
}

void test_time() {
    uint64_t previous = arch::now_ns();
    for (int i = 0; i < 1000; ++i) {
        const uint64_t now = arch::now_ns();
        check(now >= previous, "time is monotonic");
        previous = now;
    }
    // A tick may also come inside another interrupt's handler, at a higher count.
    const uint64_t patience = arch::now_ns() + 1'000'000'000;
    while (!tick_at_count_one && arch::now_ns() < patience) arch::spin_hint();
    check(tick_at_count_one, "a tick raises the preemption count by one");
    const uint64_t begin = arch::now_ns(), cycles = arch::cycles(), from = ticks;
    while (ticks < from + 50) {
        preempt_disable();
        arch::idle();
        preempt_enable();
    }
    const uint64_t spent = arch::now_ns() - begin;
    print("50 ticks of 100000 ns: ", Number(spent).text(), " ns, ", Number(arch::cycles() - cycles).text(),
          " cycles\n");
}

}  // namespace

namespace helix::port_test {

void tick_again() {
    constexpr uint64_t kTickOfOthers = 1'000'000;
    arch::set_timer(arch::now_ns() + (current_cpu() == 0 ? tick_ns : kTickOfOthers));
}

void check(bool holds, Text what) {
    if (holds) return;
    ++failures;
    print("FAILED: ", what, "\n");
}

}  // namespace helix::port_test

namespace helix::kernel {

void on_timer(TrapFrame& frame) {
    if (without_ticks && current_cpu() == 0) {
        fired_ns = arch::now_ns();
        fired = fired + 1;
        return;
    }
    tick_again();
    if (current_cpu() != 0) return on_other_timer(frame);
    const uint32_t count = preemption_count();
    if (count == 1 && !interrupts_are_on()) check(false, "ticks are handled with interrupts on");
    if (slow_ticks != 0) {
        slow_ticks = slow_ticks - 1;
        if (count > deepest_tick) deepest_tick = count;
        for (const uint64_t begin = arch::now_ns(); arch::now_ns() - begin < 3 * kTick;) arch::spin_hint();
    }
    if (count == 1) tick_at_count_one = true;
    ticks = ticks + 1;
    if (kill_at_tick != 0 && ticks >= kill_at_tick && local.gate != nullptr) {
        kill_at_tick = 0;
        arch::trap_resume_at_gate(frame, *local.gate, GateFailure::Budget);
        return;
    }
    if (switch_in_tick && count == 1) {
        static bool in_other = false;
        in_other = !in_other;
        if (in_other)
            arch::context_switch(main_context, other_context);
        else
            arch::context_switch(other_context, main_context);
    }
}

void on_console_input(TrapFrame&) {
    console_inputs = console_inputs + 1;
}
void on_line(TrapFrame&, uint32_t) {
    check(false, "a line that nobody enabled");
}

void on_fault(TrapFrame& frame, const Fault& fault) {
    if (current_cpu() != 0) return on_other_fault(frame, fault);
    ++faults;
    if (fault_in_fault) {
        fault_in_fault = false;
        check(gate_call<&Culprit::read_null>(kInstance, &culprit, nullptr) == GateFailure::Fault, "fault in on_fault");
        asm volatile("cli");
    }
    last_fault = fault;
    last_fault_instruction = arch::trap_instruction_pointer(frame);
    if (local.gate == nullptr) {
        print("FAILED: a fault outside any gate: kind ", Number(static_cast<uint64_t>(fault.kind)).text(), " address ",
              Number(fault.address, 16).text(), " at ", Number(last_fault_instruction, 16).text(), " stack ",
              Number(arch::trap_stack_pointer(frame), 16).text(), "\n");
        arch::power_off(1);
    }
    arch::trap_resume_at_gate(frame, *local.gate, GateFailure::Fault);
}

Result<arch::PhysicalAddress> allocate_frame() {
    if (frames_allowed <= 0) return ErrorCode::OutOfMemory;
    if (frames_allowed != INT64_MAX) --frames_allowed;
    ++frames_in_use;
    arch::PhysicalAddress frame = free_list;
    if (frame != 0)
        free_list = *static_cast<uint64_t*>(arch::direct_map(frame));
    else
        frame = pool.begin, pool.begin += kPage;
    __builtin_memset(arch::direct_map(frame), 0, kPage);
    return frame;
}

void free_frame(arch::PhysicalAddress frame) {
    --frames_in_use;
    *static_cast<uint64_t*>(arch::direct_map(frame)) = free_list;
    free_list = frame;
}

void kernel_main(const arch::BootInfo& boot) {
    const uint64_t entered = arch::cycles() - boot.entry_cycles;
    print("port test: ", boot.command_line, "\n");
    print("cycles to kernel_main: ", Number(entered).text(), ", ", Number(arch::now_ns()).text(), " ns\n");
    for (const arch::MemoryRange& range : boot.memory) {
        print("memory ", Number(range.begin, 16).text(), " - ", Number(range.end, 16).text(), "\n");
        if (range.end - range.begin > pool.end - pool.begin) pool = range;
    }
    const Text line = boot.command_line;
    test_archive(boot.bundle, number_of(line, "bundle=", 0), "bundle");
    test_archive(boot.initrd, number_of(line, "initrd=", 0), "initrd");
    test_ram(boot);
    test_archive(boot.bundle, number_of(line, "bundle=", 0), "free memory and bundle are apart");
    test_archive(boot.initrd, number_of(line, "initrd=", 0), "free memory and initrd are apart");
    check(boot.cpu_count == number_of(line, "cpus_expected=", 1), "the number of CPUs");
    check(boot.region.end - boot.region.begin >= 4ull << 30, "boot information");
    check(arch::is_kernel_text(reinterpret_cast<uint64_t>(&recurse)) &&
              !arch::is_kernel_text(reinterpret_cast<uint64_t>(&local)),
          "is_kernel_text");

    local.preempt_word = kNoRescheduleWanted;
    local.self = &local;
    arch::set_cpu_local(&local);
    check(cpu_local() == &local, "set_cpu_local");
    bool found;
    value_of(line, "only_cpus", found);
    if (!found) {
        test_memory_functions();
        test_mapping(boot);
        arch::start_interrupts();
        tick_again();
        test_time();
        test_timer();
        test_faults();
        test_protection(boot);
        test_endless_loops();
        test_overflow_under_ticks();
        test_lost_interrupt();
        test_contexts();
        test_slow_ticks();
    }
    if (found) arch::start_interrupts();
    tick_again();
    // Below the last 2 MiB border of the region, where nothing shares a table; frames at the end of the pool.
    test_cpus(boot, reinterpret_cast<uint8_t*>(boot.region.end - (1u << 30)), pool.end - 128 * kPage);
    const Text input = value_of(line, "input=", found);
    if (found) test_input(input);
    test_halt();

    if (failures != 0) {
        print(Number(failures).text(), " checks failed\n");
        arch::power_off(1);
    }
    print("all checks passed\n");
    value_of(line, "restart", found);
    if (found) arch::restart();
    arch::power_off(static_cast<uint8_t>(number_of(line, "status=", 0)));
}

}  // namespace helix::kernel

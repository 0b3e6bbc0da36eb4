// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The port alone, below a kernel that consists of checks: threads, faults, time, console, memory, replay.
//
// usage: helix-port-hosted-test [SCENARIO [SECONDS]]; without a scenario all of them.
#include "arch/hosted/machine.hpp"
#include "arch/seam.hpp"
#include "helix/format.hpp"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern "C" const uint8_t helix_victims_begin[];
extern "C" const uint8_t helix_victims_end[];

namespace {

using namespace helix;

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif
#ifdef THREAD_SANITIZER
constexpr bool kThreadSanitizer = true;
#else
constexpr bool kThreadSanitizer = false;
#endif
#if defined(THREAD_SANITIZER) || defined(ADDRESS_SANITIZER)
constexpr size_t kStackPages = 32;
#else
constexpr size_t kStackPages = 8;
#endif
constexpr uint64_t kPage = 4096;
constexpr uint64_t kTickNs = 1'000'000;

/// Something to call through a gate; its one method is replaced by the code in victims.S.
class Victim {
public:
    virtual uint64_t run(uint64_t kind, uint64_t argument) = 0;

protected:
    ~Victim() = default;
};
enum Kind : uint64_t {
    kAlignment,
    kNullRead,
    kNullWrite,
    kInvalid,
    kDivide,
    kNonCanonical,
    kWriteText,
    kExecuteData,
    kPushForever,
    kCallForever,
    kLoopForever,
    kBreakpoint,
    kLoopLow,
    kLoopAstray,
    kPrivileged,
    kCountsUp,
    kPushAstray,
    kCallArgument,
    kStackNonCanonical,
};

struct TestThread {
    arch::ThreadContext context;
    MutableBytes stack;
    Gate* gate = nullptr;
    void (*entry)(void*) = nullptr;
    void* argument = nullptr;
    bool ended = false;
    uint64_t work = 0;
};

constexpr size_t kMaximumThreads = 600;

struct TestKernel {
    CpuLocal local{};
    const arch::BootInfo* boot = nullptr;
    uint64_t free_memory = 0;
    uint64_t free_region = 0;
    TestThread threads[kMaximumThreads];
    size_t thread_count = 1;  // 0 is the boot context
    size_t current = 0;
    uint64_t ticks = 0;
    bool without_ticks = false;  // on_timer only counts:
    uint64_t fired = 0;
    uint64_t fired_ns = 0;
    uint64_t switches = 0;
    uint64_t switched_in_handler = 0;
    uint64_t reschedules = 0;
    uint64_t budget = 0;  // ticks after which a gated call is ended; 0: never
    bool stop = false;
    kernel::Fault fault{};
    uint64_t fault_instruction = 0;
    uint64_t faults = 0;
    uint64_t input_calls = 0;
    char input[64] = {};
    size_t input_size = 0;
    uint64_t idle_calls = 0;
    uint64_t sum = 0;
    void* victim_code = nullptr;
    void* vtable[1] = {};
    struct {
        void** vtable;
    } victim{};
};

TestKernel& self() {
    return *static_cast<TestKernel*>(cpu_local()->kernel);
}

#define CHECK(condition)                                                                              \
    do {                                                                                              \
        if (!(condition)) {                                                                           \
            arch::console_write(format("{}: check failed: {}\n", __LINE__, Text(#condition)).text()); \
            arch::power_off(1);                                                                       \
        }                                                                                             \
    } while (false)

uint32_t word() {
    uint32_t value;
    asm volatile("movl %%gs:0, %0" : "=r"(value)::"memory");
    return value;
}
uint32_t count() {
    return word() & ~kNoRescheduleWanted;
}
void want_reschedule() {
    asm volatile("andl $0x7fffffff, %%gs:0" ::: "memory", "cc");
}
void clear_reschedule() {
    asm volatile("orl $0x80000000, %%gs:0" ::: "memory", "cc");
}
void lower() {
    asm volatile("decl %%gs:0" ::: "memory", "cc");
}

/// To the next thread that has not ended. Preemption count one.
void schedule() {
    TestKernel& k = self();
    size_t next = k.current;
    do next = (next + 1) % k.thread_count;
    while (k.threads[next].ended);
    if (next == k.current) return;
    TestThread& from = k.threads[k.current];
    TestThread& to = k.threads[next];
    from.gate = k.local.gate;
    k.local.gate = to.gate;
    k.current = next;
    k.local.thread = &to;
    ++k.switches;
    arch::context_switch(from.context, to.context);
}

void reschedule() {
    preempt_disable();
    ++self().reschedules;
    clear_reschedule();
    schedule();
    lower();
}

void yield() {
    preempt_disable();
    schedule();
    lower();
}

void thread_main(void* argument) {
    auto* thread = static_cast<TestThread*>(argument);
    // The stack pointer was a multiple of 16 before the call of this function.
    CHECK((reinterpret_cast<uint64_t>(__builtin_frame_address(0)) & 15) == 0);
    preempt_enable();
    thread->entry(thread->argument);
    preempt_disable();
    thread->ended = true;
    schedule();
    __builtin_trap();
}

uint64_t take_frames(size_t pages) {
    const uint64_t frames = self().free_memory;
    self().free_memory += pages * kPage;
    CHECK(self().free_memory <= self().boot->memory[0].end);
    return frames;
}
void* take_addresses(size_t pages) {
    const uint64_t at = self().free_region;
    self().free_region += (pages + 1) * kPage;  // and a guard page below the next
    return reinterpret_cast<void*>(at);
}
void* map_new(size_t pages, arch::Protection protection) {
    void* at = take_addresses(pages);
    CHECK(arch::map(at, take_frames(pages), pages, protection).ok());
    return at;
}

TestThread& start_thread(void (*entry)(void*), void* argument) {
    TestKernel& k = self();
    CHECK(k.thread_count < kMaximumThreads);
    TestThread& thread = k.threads[k.thread_count];
    thread.stack = {static_cast<uint8_t*>(map_new(kStackPages, arch::Protection::ReadWrite)), kStackPages * kPage};
    thread.entry = entry;
    thread.argument = argument;
    arch::context_announce(thread.context, thread.stack);
    arch::context_create(thread.context, thread.stack, thread_main, &thread);
    preempt_disable();
    ++k.thread_count;
    preempt_enable();
    return thread;
}

void load_victim() {
    TestKernel& k = self();
    const auto size = static_cast<size_t>(helix_victims_end - helix_victims_begin);
    const uint64_t frame = take_frames(1);
    memcpy(arch::direct_map(frame), helix_victims_begin, size);
    k.victim_code = take_addresses(1);
    CHECK(arch::map(k.victim_code, frame, 1, arch::Protection::ReadExecute).ok());
    k.vtable[0] = k.victim_code;
    k.victim.vtable = k.vtable;
}

/// Calls the victim through a gate.
__attribute__((noinline)) GateFailure provoke(uint64_t kind, uint64_t argument, uint64_t* result) {
    return gate_call<&Victim::run>(nullptr, &self().victim, result, kind, argument);
}

void wait_ticks(uint64_t ticks) {
    const uint64_t until = __atomic_load_n(&self().ticks, __ATOMIC_RELAXED) + ticks;
    while (__atomic_load_n(&self().ticks, __ATOMIC_RELAXED) < until) arch::preemption_point();
}

/// Computes in integer and vector registers; any of them that a switch spoils shows in the sum.
void compute(void* argument) {
    auto* thread = static_cast<TestThread*>(argument);
    volatile double seed = 1.0;
    while (!__atomic_load_n(&self().stop, __ATOMIC_RELAXED)) {
        uint64_t a = 1, b = 2, c = 3, d = 4;
        double x = seed, y = seed * 2, z = seed * 4;
        for (int i = 0; i < 2000; ++i) {
            a += b;
            b ^= c;
            c += d;
            d = (d << 1) | (d >> 63);
            x += 1;
            y += 2;
            z += 4;
        }
        CHECK(x == 2001 && y == 4002 && z == 8004);
        static uint64_t expected = 0;
        const uint64_t sum = a ^ b ^ c ^ d;
        uint64_t none = 0;
        if (!__atomic_compare_exchange_n(&expected, &none, sum, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            CHECK(none == sum);
        CHECK(count() == 0);
        __atomic_store_n(&thread->work, thread->work + 1, __ATOMIC_RELAXED);
        arch::preemption_point();
    }
}

// ---- Scenarios. Each runs on the boot context as thread 0, with ticks.

uint64_t seconds = 1;

void test_threads() {
    TestKernel& k = self();
    for (size_t i = 0; i < 200; ++i) {
        TestThread& thread = k.threads[k.thread_count];
        start_thread(compute, &thread);
    }
    const uint64_t until = arch::now_ns() + seconds * 1'000'000'000;
    const auto all_worked = [&] {  // on a busy host a second is too short
        for (size_t i = 1; i < k.thread_count; ++i)
            if (__atomic_load_n(&k.threads[i].work, __ATOMIC_RELAXED) == 0) return false;
        return true;
    };
    while (arch::now_ns() < until || !all_worked()) yield();
    __atomic_store_n(&k.stop, true, __ATOMIC_RELAXED);
    for (bool alive = true; alive;) {
        alive = false;
        for (size_t i = 1; i < k.thread_count; ++i) alive |= !__atomic_load_n(&k.threads[i].ended, __ATOMIC_RELAXED);
        yield();
    }
    for (size_t i = 1; i < k.thread_count; ++i) {
        CHECK(k.threads[i].work > 0);
        arch::context_retire(k.threads[i].context);
    }
    CHECK(k.switched_in_handler > 0);
    stack_t stack{};
    CHECK(sigaltstack(nullptr, &stack) == 0 && stack.ss_flags == 0);
    arch::console_write(
        format("{} ticks, {} switches, {} of them by ticks\n", k.ticks, k.switches, k.switched_in_handler).text());
}

struct Expectation {
    Kind kind;
    kernel::FaultKind fault;
    uint64_t address;  // 0: not looked at
};

void provoke_all(void*) {
    TestKernel& k = self();
    const uint64_t data = reinterpret_cast<uint64_t>(map_new(1, arch::Protection::ReadWrite));
    TestThread& me = k.threads[k.current];
    const uint64_t bottom = reinterpret_cast<uint64_t>(me.stack.data());
    using enum kernel::FaultKind;
    const Expectation expectations[] = {
        {kNullRead, PageFault, 0},
        {kNullWrite, PageFault, 0},
        {kInvalid, InvalidOpcode, 0},
        {kDivide, DivideError, 0},
        {kNonCanonical, GeneralProtection, 0},
        {kWriteText, PageFault, 0},
        {kExecuteData, PageFault, data},
        {kPushForever, StackOverflow, bottom - 8},
        {kCallForever, StackOverflow, bottom - 8},
        {kBreakpoint, Breakpoint, 0},
        {kPrivileged, GeneralProtection, 0},
        {kCountsUp, InvalidOpcode, 0},
        {kPushAstray, PageFault, 0xff8},
        {kStackNonCanonical, GeneralProtection, 0},
    };
    for (int round = 0; round < 200; ++round) {
        for (const Expectation& expected : expectations) {
            uint64_t result = 0;
            preempt_disable();  // so that the record of the fault is still ours afterwards
            const uint64_t before = k.faults;
            const GateFailure failure = provoke(expected.kind, data, &result);
            CHECK(failure == GateFailure::Fault);
            CHECK(k.faults == before + 1);
            // A tick may come before the victim goes on, and find no stack.
            const bool is_astray = expected.kind == kPushAstray || expected.kind == kStackNonCanonical;
            if (is_astray && k.fault.kind == StackOverflow) {
                preempt_enable();
                continue;
            }
            // Or it finds the stack nearly full before the victim does.
            const bool near = expected.fault == StackOverflow ? k.fault.address - (bottom - kPage) < 5 * kPage
                                                              : k.fault.address == expected.address;
            if (k.fault.kind != expected.fault || (expected.address != 0 && !near))
                arch::console_write(format("victim {}: kind {}, address {:x}\n", static_cast<uint64_t>(expected.kind),
                                           static_cast<uint64_t>(k.fault.kind), k.fault.address)
                                        .text());
            CHECK(k.fault.kind == expected.fault);
            CHECK(expected.address == 0 || near);
            CHECK(k.fault.execute == (expected.kind == kExecuteData));
            if (expected.kind == kNullWrite || expected.kind == kWriteText) CHECK(k.fault.write);
            CHECK(expected.kind == kExecuteData || !arch::is_kernel_text(k.fault_instruction));
            CHECK(count() == 1);
            CHECK(k.local.gate == nullptr);
            uint64_t flags;
            asm volatile("pushfq; popq %0" : "=r"(flags)::"memory");
            CHECK((flags & 0x400) == 0);
            preempt_enable();
            CHECK(count() == 0);
            // A sound call still works, on an aligned stack.
            CHECK(provoke(kAlignment, 0, &result) == GateFailure::None);
            CHECK(result == 8);
        }
        if (round % 50 == 0) wait_ticks(2);  // ticks still come
    }
    __atomic_fetch_add(&k.sum, 1, __ATOMIC_RELAXED);
}

void test_faults() {
    TestKernel& k = self();
    CHECK(arch::is_kernel_text(reinterpret_cast<uint64_t>(&test_faults)));
    load_victim();
    CHECK(!arch::is_kernel_text(reinterpret_cast<uint64_t>(k.victim_code)));
    for (int i = 0; i < 4; ++i) start_thread(provoke_all, nullptr);
    for (int i = 0; i < 4; ++i) {
        TestThread& thread = k.threads[k.thread_count];
        start_thread(compute, &thread);
    }
    while (__atomic_load_n(&k.sum, __ATOMIC_RELAXED) < 4) yield();
    arch::console_write(format("{} faults recovered\n", k.faults).text());
}

void end_loops(void*) {
    TestKernel& k = self();
    uint64_t result = 0;
    const uint64_t bottom = reinterpret_cast<uint64_t>(k.threads[k.current].stack.data());
    for (int round = 0; round < 10; ++round) {
        CHECK(provoke(kLoopForever, 0, &result) == GateFailure::Budget);
        CHECK(count() == 0);
        preempt_disable();
        CHECK(provoke(kLoopForever, 0, &result) == GateFailure::Budget);
        CHECK(count() == 1);
        preempt_enable();
        // A tick that finds too little room for its handler (which wants more where it may switch), and one whose frame
        // does not even fit.
        CHECK(provoke(kLoopLow, bottom + 8192, &result) == GateFailure::Fault);
        CHECK(k.fault.kind == kernel::FaultKind::StackOverflow);
        preempt_disable();
        CHECK(provoke(kLoopLow, bottom + 4608, &result) == GateFailure::Fault);
        CHECK(k.fault.kind == kernel::FaultKind::StackOverflow);
        CHECK(!arch::is_kernel_text(k.fault_instruction));
        CHECK(count() == 1);
        preempt_enable();
        preempt_disable();
        CHECK(provoke(kLoopLow, bottom + 512, &result) == GateFailure::Fault);
        CHECK(k.fault.kind == kernel::FaultKind::StackOverflow);
        CHECK(provoke(kLoopAstray, 0, &result) == GateFailure::Fault);
        CHECK(k.fault.kind == kernel::FaultKind::StackOverflow);
        CHECK(count() == 1);
        preempt_enable();
        CHECK(k.local.gate == nullptr);
        wait_ticks(2);
    }
    __atomic_fetch_add(&k.sum, 1, __ATOMIC_RELAXED);
}

void test_loops() {
    TestKernel& k = self();
    load_victim();
    k.budget = 3;
    start_thread(end_loops, nullptr);
    TestThread& other = k.threads[k.thread_count];
    start_thread(compute, &other);
    while (__atomic_load_n(&k.sum, __ATOMIC_RELAXED) < 1) yield();
}

/// A service that gives up: returns behind the innermost gate.
void give_up() {
    volatile char frame[256];
    frame[0] = 1;
    arch::gate_resume(*cpu_local()->gate, GateFailure::Abort);
}

void test_abort() {
    load_victim();
    for (int round = 0; round < 1000; ++round) {
        uint64_t result = 0;
        CHECK(provoke(kCallArgument, reinterpret_cast<uint64_t>(&give_up), &result) == GateFailure::Abort);
        CHECK(count() == 0 && self().local.gate == nullptr);
        preempt_disable();
        CHECK(provoke(kCallArgument, reinterpret_cast<uint64_t>(&give_up), &result) == GateFailure::Abort);
        CHECK(count() == 1);
        want_reschedule();
        const uint64_t reschedules = self().reschedules;
        preempt_enable();
        CHECK(self().reschedules > reschedules);  // it was not lost
    }
}

void test_memory() {
    TestKernel& k = self();
    load_victim();
    const uint64_t frames = take_frames(4);
    CHECK(frames != 0 && k.boot->memory[0].begin > 0);
    auto* direct = static_cast<uint64_t*>(arch::direct_map(frames));
    CHECK(arch::physical_of(direct) == frames);
    CHECK(direct[0] == 0);
    void* at = take_addresses(4);
    CHECK(arch::map(at, frames, 4, arch::Protection::ReadWrite).ok());
    auto* words = static_cast<uint64_t*>(at);
    words[3 * 512] = 42;
    CHECK(direct[3 * 512] == 42);
    arch::unmap(at, 4);
    arch::unmap(at, 4);  // pages that are not mapped are skipped
    // The pages are gone: a victim that executes there faults on that address.
    uint64_t result = 0;
    preempt_disable();
    CHECK(provoke(kExecuteData, reinterpret_cast<uint64_t>(at), &result) == GateFailure::Fault);
    CHECK(k.fault.kind == kernel::FaultKind::PageFault && k.fault.address == reinterpret_cast<uint64_t>(at));
    preempt_enable();
    CHECK(arch::map(at, frames, 4, arch::Protection::Read).ok());
    CHECK(words[3 * 512] == 42);
    // More mappings than the host allows end in an error that leaves the machine whole.
    size_t mapped = 0;
    auto* many = static_cast<uint8_t*>(take_addresses(400'000));
    for (; mapped < 200'000; ++mapped)
        if (!arch::map(many + 2 * mapped * kPage, frames, 1, arch::Protection::Read).ok()) break;
    CHECK(mapped > 10'000 && mapped < 200'000);
    CHECK(words[3 * 512] == 42);
    for (size_t i = 0; i < mapped; ++i) arch::unmap(many + 2 * i * kPage, 1);
    void* again = map_new(4, arch::Protection::ReadWrite);
    *static_cast<uint64_t*>(again) = 1;
    arch::console_write(format("{} mappings fit\n", mapped).text());
}

void test_console() {
    TestKernel& k = self();
    // Standard input is a pipe with "abc" and an end.
    preempt_disable();
    for (int i = 0; i < 200; ++i) {
        ++k.idle_calls;
        const uint64_t ticks = k.ticks;
        arch::idle();
        clear_reschedule();
        CHECK(count() == 1);
        if (i > 10) CHECK(k.ticks > ticks);  // it slept until a tick, it did not spin
    }
    preempt_enable();
    CHECK(k.input_size == 4);
    CHECK(memcmp(k.input, "abc\x04", 4) == 0);
    CHECK(arch::console_read() == -1);
}

void test_busy_console() {
    TestKernel& k = self();
    const uint64_t until = k.ticks + 60;
    while (__atomic_load_n(&k.ticks, __ATOMIC_RELAXED) < until) arch::preemption_point();
    if (!kThreadSanitizer) CHECK(k.input_size == 4);
}

/// Waits for the one interrupt that is to come; when it came.
uint64_t await_timer(uint64_t fired_before) {
    TestKernel& k = self();
    while (__atomic_load_n(&k.fired, __ATOMIC_RELAXED) == fired_before) arch::idle();
    CHECK(k.fired == fired_before + 1);
    return __atomic_load_n(&k.fired_ns, __ATOMIC_RELAXED);
}

void test_timer() {
    TestKernel& k = self();
    constexpr uint64_t kHour = 3'600'000'000'000;
    preempt_disable();
    __atomic_store_n(&k.without_ticks, true, __ATOMIC_RELAXED);
    for (uint64_t i = 0; i < 200; ++i) {
        const uint64_t due_ns = arch::now_ns() + i * 10'000;
        arch::set_timer(due_ns);
        CHECK(await_timer(i) >= due_ns);
    }
    // The last one counts, be it earlier or later, far away or over.
    const uint64_t later_ns = arch::now_ns() + 3'000'000;
    arch::set_timer(arch::now_ns() + 100'000);
    arch::set_timer(later_ns);
    CHECK(await_timer(200) >= later_ns);
    arch::set_timer(arch::now_ns() + kHour);
    arch::set_timer(arch::now_ns() + 100'000);
    (void)await_timer(201);
    arch::set_timer(arch::now_ns() + kHour);
    arch::set_timer(0);
    (void)await_timer(202);
    arch::set_timer(arch::now_ns() + 100'000);
    arch::set_timer(arch::kNever);
    for (const uint64_t until_ns = arch::now_ns() + 2'000'000; arch::now_ns() < until_ns;) arch::preemption_point();
    CHECK(k.fired == 203);
    preempt_enable();
}

void replay_worker(void* argument) {
    auto* thread = static_cast<TestThread*>(argument);
    TestKernel& k = self();
    for (int i = 0; i < 2000; ++i) {
        const uint64_t seen = k.sum;
        arch::preemption_point();  // the planted bug: another thread's update gets lost here
        k.sum = seen + 1;
        arch::preemption_point();
    }
    thread->work = 1;
}

void test_replay() {
    TestKernel& k = self();
    load_victim();
    for (int i = 0; i < 20; ++i) {
        TestThread& thread = k.threads[k.thread_count];
        start_thread(replay_worker, &thread);
    }
    for (bool alive = true; alive;) {
        alive = false;
        for (size_t i = 1; i < k.thread_count; ++i) alive |= !k.threads[i].ended;
        preempt_disable();
        arch::idle();
        clear_reschedule();
        schedule();
        lower();
    }
    CHECK(k.input_size == 4 && memcmp(k.input, "abc\x04", 4) == 0);
    // An endless loop passes no preemption point; it is ended all the same.
    k.budget = 5;
    uint64_t result = 0;
    CHECK(provoke(kLoopForever, 0, &result) == GateFailure::Budget);
    arch::console_write(format("sum {}, ticks {}, clock {}\n", k.sum, k.ticks, arch::now_ns()).text());
}

struct Scenario {
    const char* name;
    void (*run)();
    const char* input;
    bool replay;
};
const Scenario kScenarios[] = {
    {"threads", test_threads, "", false},
    {"faults", test_faults, "", false},
    {"loops", test_loops, "", false},
    {"abort", test_abort, "", false},
    {"memory", test_memory, "", false},
    {"console", test_console, "abc", false},
    {"busy_console", test_busy_console, "abc", false},
    {"timer", test_timer, "", false},
    {"timer_replay", test_timer, "", true},
    {"replay", test_replay, "abc", true},
};

void drain_input() {
    TestKernel& k = self();
    ++k.input_calls;
    for (int byte = arch::console_read(); byte >= 0; byte = arch::console_read())
        if (k.input_size < sizeof(k.input)) k.input[k.input_size++] = static_cast<char>(byte);
}

}  // namespace

namespace helix::kernel {

void kernel_main(const arch::BootInfo& boot) {
    auto* k = static_cast<TestKernel*>(calloc(1, sizeof(TestKernel)));
    new (k) TestKernel;
    k->boot = &boot;
    k->free_memory = boot.memory[0].begin;
    k->free_region = boot.region.begin + kPage;
    k->local.preempt_word = kNoRescheduleWanted | 1;
    k->local.self = &k->local;
    k->local.thread = &k->threads[0];
    k->local.reschedule = reschedule;
    k->local.kernel = k;
    arch::set_cpu_local(&k->local);
    const Scenario* found = nullptr;
    for (const Scenario& scenario : kScenarios)
        if (Text::from_c_string(scenario.name) == boot.command_line) found = &scenario;
    arch::start_interrupts();
    arch::set_timer(arch::now_ns() + kTickNs);
    preempt_enable();
    found->run();
    // Other threads may still run; they end with the machine.
    arch::power_off(0);
}

void on_timer(TrapFrame& frame) {
    TestKernel& k = self();
    CHECK(count() >= 1);
    if (k.without_ticks) {
        __atomic_store_n(&k.fired_ns, arch::now_ns(), __ATOMIC_RELAXED);
        __atomic_store_n(&k.fired, k.fired + 1, __ATOMIC_RELAXED);
        return;
    }
    arch::set_timer(arch::now_ns() + kTickNs);
    __atomic_store_n(&k.ticks, k.ticks + 1, __ATOMIC_RELAXED);
    Gate* gate = k.local.gate;
    // Only where the gate's own code was interrupted, not a handler above it, which may be switching threads.
    const bool is_own = gate != nullptr && count() == (gate->preempt_word & ~kNoRescheduleWanted) + 1;
    if (is_own && k.budget != 0 && ++gate->ticks >= k.budget) {
        arch::trap_resume_at_gate(frame, *gate, GateFailure::Budget);
        return;
    }
    if (count() != 1) {
        want_reschedule();
        return;
    }
    ++k.switched_in_handler;
    schedule();
}

void on_console_input(TrapFrame&) {
    drain_input();
}
void on_line(TrapFrame&, uint32_t) {
    CHECK(false);
}

// One CPU only here; cpus_test.cpp has more.
void cpu_main(CpuId) {
    __builtin_trap();
}
void on_interrupt(TrapFrame&) {
    CHECK(false);
}
void on_watchdog(TrapFrame&) {
    CHECK(false);
}

void on_fault(TrapFrame& frame, const Fault& fault) {
    TestKernel& k = self();
    Gate* gate = k.local.gate;
    if (gate == nullptr) {
        arch::console_write(format("fault {} outside gates, address {:x}, at {:x}\n", static_cast<uint64_t>(fault.kind),
                                   fault.address, arch::trap_instruction_pointer(frame))
                                .text());
        arch::power_off(1);
    }
    k.fault = fault;
    k.fault_instruction = arch::trap_instruction_pointer(frame);
    ++k.faults;
    arch::trap_resume_at_gate(frame, *gate, GateFailure::Fault);
}

Result<arch::PhysicalAddress> allocate_frame() {
    return ErrorCode::OutOfMemory;
}
void free_frame(arch::PhysicalAddress) {}

}  // namespace helix::kernel

namespace {

using arch::hosted::Machine;
using arch::hosted::Options;

struct Run {
    int status = -1;
    char output[512] = {};  // of the console, then of the port
};

Machine* start_machine(const Scenario& scenario, uint64_t seed, int output, int messages) {
    int pipe_ends[2];
    if (pipe(pipe_ends) != 0 || write(pipe_ends[1], scenario.input, strlen(scenario.input)) < 0) abort();
    close(pipe_ends[1]);
    Options options;
    options.command_line = Text::from_c_string(scenario.name);
    options.memory_bytes = 256 << 20;
    options.replay = scenario.replay;
    options.seed = seed;
    options.input = pipe_ends[0];
    options.output = output;
    options.messages = messages;
    auto machine = Machine::start(options);
    if (!machine.ok()) {
        fprintf(stderr, "%.*s\n", static_cast<int>(machine.error().sentence().size()),
                machine.error().sentence().data());
        abort();
    }
    return machine.value();
}

/// Runs the scenario in a machine of its own in this process and catches what it printed.
Run run(const Scenario& scenario, uint64_t seed) {
    Run result;
    int pipe_ends[2];
    if (pipe(pipe_ends) != 0) abort();
    result.status = start_machine(scenario, seed, pipe_ends[1], scenario.replay ? pipe_ends[1] : 2)->wait();
    close(pipe_ends[1]);
    size_t size = 0;
    for (ssize_t n; size + 1 < sizeof(result.output) &&
                    (n = read(pipe_ends[0], result.output + size, sizeof(result.output) - 1 - size)) > 0;)
        size += static_cast<size_t>(n);
    close(pipe_ends[0]);
    return result;
}

bool report(const char* name, const Run& result) {
    printf("%s %s\n%s", result.status == 0 ? "ok  " : "FAIL", name, result.output);
    fflush(stdout);
    return result.status == 0;
}

}  // namespace

int main(int argument_count, char** arguments) {
    const char* only = argument_count > 1 ? arguments[1] : nullptr;
    if (argument_count > 2) seconds = strtoull(arguments[2], nullptr, 10);
    bool good = true;
    bool ran = false;
    for (const Scenario& scenario : kScenarios) {
        if (only != nullptr && strcmp(only, scenario.name) != 0) continue;
        ran = true;
        const Run first = run(scenario, 7);
        good &= report(scenario.name, first);
        if (!scenario.replay) continue;
        const Run second = run(scenario, 7);
        const Run other = run(scenario, 8);
        if (strcmp(first.output, second.output) != 0 || strcmp(first.output, other.output) == 0) {
            printf("FAIL replay: seed 7 twice, then 8:\n%s%s%s", first.output, second.output, other.output);
            good = false;
        }
    }
    if (only == nullptr || strcmp(only, "together") == 0) {
        ran = true;
        Machine* a = start_machine(kScenarios[0], 0, 1, 2);
        Machine* b = start_machine(kScenarios[1], 0, 1, 2);
        const uint8_t statuses[] = {a->wait(), b->wait()};
        const bool both = statuses[0] == 0 && statuses[1] == 0;
        printf("%s together\n", both ? "ok  " : "FAIL");
        good &= both;
    }
    if (!ran) {
        fprintf(stderr, "unknown scenario '%s'\n", only);
        return 2;
    }
    return good ? 0 : 1;
}

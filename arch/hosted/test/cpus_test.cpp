// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The port with many CPUs, below a kernel that consists of checks: starting, stopping, interrupts, migration, replay.
//
// usage: helix-port-hosted-cpus-test [SCENARIO [ROUNDS]]; without a scenario all of them. The kernel has one queue of
// threads for all CPUs, and a CPU prefers threads that ran on another one before, so that all of them migrate.
#include "arch/hosted/machine.hpp"
#include "arch/seam.hpp"
#include "helix/format.hpp"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <new>

extern "C" const uint8_t helix_victims_begin[];
extern "C" const uint8_t helix_victims_end[];

namespace {

using namespace helix;

#if __has_feature(thread_sanitizer)
constexpr bool kThreadSanitizer = true;
#else
constexpr bool kThreadSanitizer = false;
#endif
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
constexpr size_t kStackPages = 48;
#else
constexpr size_t kStackPages = 8;
#endif
constexpr uint64_t kPage = 4096;
constexpr uint64_t kTickNs = 1'000'000;
constexpr size_t kMaximumThreads = 200;
constexpr CpuId kNowhere = 1000;

/// Of the code in victims.S.
enum Kind : uint64_t { kNullRead = 1, kLoopForever = 10, kWaitForWord = 19 };
class Victim {
public:
    virtual uint64_t run(uint64_t kind, uint64_t argument) = 0;

protected:
    ~Victim() = default;
};

struct TestThread {
    arch::ThreadContext context;
    MutableBytes stack;
    Gate* gate = nullptr;
    void (*entry)(uint64_t) = nullptr;
    uint64_t argument = 0;
    CpuId last = kNowhere;
    TestThread* next = nullptr;  ///< in the queue
    bool ended = false;
};

struct alignas(64) TestCpu {
    CpuLocal local{};
    arch::ThreadContext idle_context;
    TestThread* current = nullptr;   ///< null: the idle context
    TestThread* previous = nullptr;  ///< to be queued, or ended, when the switch is done
    long tid = 0;
    uint64_t starts = 0;
    uint64_t ticks = 0;
    uint64_t calls = 0;
    uint64_t watchdogs = 0;
    uint64_t want_stop = 0;
    uint64_t sent = 0;  ///< what others wrote before they interrupted this CPU
    uint64_t seen = 0;  ///< of `sent`, by the handler
};

struct TestKernel {
    const arch::BootInfo* boot = nullptr;
    uint64_t free_memory = 0;
    uint64_t free_region = 0;
    uint32_t queue_lock = 0;
    TestThread* first = nullptr;
    TestThread** last = &first;
    TestThread threads[kMaximumThreads];
    size_t thread_count = 0;
    TestCpu cpus[arch::kMaximumCpus];
    bool with_ticks = true;
    uint64_t migrations = 0;
    uint64_t preempted = 0;
    uint64_t alive = 0;
    uint64_t stop = 0;
    uint64_t sum = 0;
    uint64_t unlocked_sum = 0;
    uint32_t sum_lock = 0;
    uint64_t budget = 0;
    void* vtable[1] = {};
    struct {
        void** vtable;
    } victim{};
};

TestKernel& self() {
    return *static_cast<TestKernel*>(cpu_local()->kernel);
}
TestCpu& this_cpu() {
    return *reinterpret_cast<TestCpu*>(cpu_local());
}

#define CHECK(condition)                                                                                       \
    do {                                                                                                       \
        if (!(condition)) {                                                                                    \
            arch::console_write(                                                                               \
                format("{}: check failed on CPU {}: {}\n", __LINE__, current_cpu(), Text(#condition)).text()); \
            arch::power_off(1);                                                                                \
        }                                                                                                      \
    } while (false)

template <typename T>
T get(const T& word) {
    return __atomic_load_n(&word, __ATOMIC_ACQUIRE);
}
template <typename T>
void add(T& word, uint64_t value = 1) {
    __atomic_fetch_add(&word, static_cast<T>(value), __ATOMIC_ACQ_REL);
}
void set(uint64_t& word, uint64_t value) {
    __atomic_store_n(&word, value, __ATOMIC_RELEASE);
}

uint32_t count() {
    uint32_t value;
    asm volatile("movl %%gs:0, %0" : "=r"(value)::"memory");
    return value & ~kNoRescheduleWanted;
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
long thread_id() {
    long result = SYS_gettid;
    asm volatile("syscall" : "+a"(result)::"rcx", "r11", "memory");
    return result;
}
/// The compiler takes these addresses for the same wherever it asks.
int* (*volatile errno_location)() = __errno_location;

void spin_lock(uint32_t& lock) {
    while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE) != 0)
        while (__atomic_load_n(&lock, __ATOMIC_RELAXED) != 0) arch::spin_hint();
}
void spin_unlock(uint32_t& lock) {
    __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
}

// ---- Threads. The queue's lock is held across a switch; whoever runs next finishes it.

void enqueue(TestThread& thread) {
    TestKernel& k = self();
    thread.next = nullptr;
    *k.last = &thread;
    k.last = &thread.next;
}

/// The first thread that ran elsewhere before, or with `any` just the first.
TestThread* dequeue(CpuId cpu, bool any) {
    TestKernel& k = self();
    for (TestThread** link = &k.first; *link != nullptr; link = &(*link)->next) {
        TestThread* const thread = *link;
        if (!any && thread->last == cpu) continue;
        *link = thread->next;
        if (*link == nullptr) k.last = link;
        return thread;
    }
    return nullptr;
}

void finish_switch() {
    TestCpu& cpu = this_cpu();
    TestThread* const previous = cpu.previous;
    cpu.previous = nullptr;
    if (previous != nullptr && previous->ended) add(self().alive, ~uint64_t{0});  // it has left its stack
    if (previous != nullptr && !previous->ended) enqueue(*previous);
    spin_unlock(self().queue_lock);
}

/// To another thread, or to the idle context. Preemption count one.
void schedule() {
    TestKernel& k = self();
    clear_reschedule();
    spin_lock(k.queue_lock);
    TestCpu& cpu = this_cpu();
    TestThread* const from = cpu.current;
    // Whoever finds nothing from elsewhere idles until the next tick first; without ticks nobody would wake it.
    TestThread* const to = dequeue(cpu.local.cpu, from == nullptr || !k.with_ticks);
    if (to == nullptr && (from == nullptr || (!k.with_ticks && !from->ended))) {
        spin_unlock(k.queue_lock);
        return;
    }
    arch::ThreadContext& old_context = from == nullptr ? cpu.idle_context : from->context;
    if (from != nullptr) {
        from->gate = cpu.local.gate;
        from->last = cpu.local.cpu;
    }
    if (to != nullptr && to->last != kNowhere && to->last != cpu.local.cpu) add(k.migrations);
    cpu.local.gate = to == nullptr ? nullptr : to->gate;
    cpu.previous = from;
    cpu.current = to;
    arch::context_switch(old_context, to == nullptr ? cpu.idle_context : to->context);
    finish_switch();
}

void reschedule() {
    preempt_disable();
    schedule();
    lower();
}
void yield() {
    arch::preemption_point();
    reschedule();
}

void thread_main(void* argument) {
    finish_switch();
    auto* thread = static_cast<TestThread*>(argument);
    preempt_enable();
    thread->entry(thread->argument);
    preempt_disable();
    thread->ended = true;
    schedule();
    __builtin_trap();
}

void* map_new(size_t pages, arch::Protection protection, const void* content = nullptr, size_t size = 0) {
    TestKernel& k = self();
    const uint64_t frames = k.free_memory;
    void* const at = reinterpret_cast<void*>(k.free_region);
    k.free_memory += pages * kPage;
    k.free_region += (pages + 1) * kPage;  // and a guard page below the next
    CHECK(k.free_memory <= k.boot->memory[0].end);
    if (size != 0) memcpy(arch::direct_map(frames), content, size);
    CHECK(arch::map(at, frames, pages, protection).ok());
    return at;
}

void start_thread(void (*entry)(uint64_t), uint64_t argument) {
    TestKernel& k = self();
    CHECK(k.thread_count < kMaximumThreads);
    TestThread& thread = k.threads[k.thread_count++];
    thread = {};
    thread.stack = {static_cast<uint8_t*>(map_new(kStackPages, arch::Protection::ReadWrite)), kStackPages * kPage};
    thread.entry = entry;
    thread.argument = argument;
    arch::context_announce(thread.context, thread.stack);
    arch::context_create(thread.context, thread.stack, thread_main, &thread);
    add(k.alive);
    preempt_disable();
    spin_lock(k.queue_lock);
    enqueue(thread);
    spin_unlock(k.queue_lock);
    preempt_enable();
}

/// Waits until only the calling thread is left.
void join_threads() {
    TestKernel& k = self();
    while (get(k.alive) != 1) yield();
    for (size_t i = 1; i < k.thread_count; ++i) arch::context_retire(k.threads[i].context);
    k.thread_count = 1;
}

void load_victim() {
    TestKernel& k = self();
    const auto size = static_cast<size_t>(helix_victims_end - helix_victims_begin);
    k.vtable[0] = map_new(1, arch::Protection::ReadExecute, helix_victims_begin, size);
    k.victim.vtable = k.vtable;
}
__attribute__((noinline)) GateFailure provoke(uint64_t kind, uint64_t argument, uint64_t* result) {
    return gate_call<&Victim::run>(nullptr, &self().victim, result, kind, argument);
}

// ---- CPUs.

/// The rest of every CPU's life.
[[noreturn]] void run_cpu() {
    TestKernel& k = self();
    TestCpu& cpu = this_cpu();
    *errno_location() = 1000 + static_cast<int>(cpu.local.cpu);
    arch::start_interrupts();
    if (k.with_ticks) arch::set_timer(arch::now_ns() + kTickNs);
    add(cpu.starts);
    for (;;) {
        CHECK(count() == 1);
        CHECK(&this_cpu() == &cpu && current_cpu() == cpu.local.cpu);
        if (get(cpu.want_stop) != 0) {
            set(cpu.want_stop, 0);
            arch::stop_cpu();
        }
        arch::idle();
        schedule();
    }
}

void start_cpu(CpuId id) {
    const Result<void> started = arch::start_cpu(id);
    CHECK(started.ok());
}
void start_cpus() {
    for (CpuId id = 1; id < self().boot->cpu_count; ++id) start_cpu(id);
}
uint32_t cpu_count() {
    return self().boot->cpu_count;
}

// ---- Scenarios. Each runs in a thread, on any CPU.

uint64_t rounds = 1;

void test_ticks() {
    TestKernel& k = self();
    start_cpus();
    for (CpuId id = 0; id < cpu_count(); ++id)
        while (get(k.cpus[id].ticks) < 20) yield();
    for (CpuId id = 0; id < cpu_count(); ++id)
        for (CpuId other = 0; other < id; ++other) CHECK(k.cpus[id].tid != k.cpus[other].tid);
}

/// Interrupts `id` and waits until its handler saw what was written before.
void interrupt_and_wait(CpuId id) {
    TestCpu& cpu = self().cpus[id];
    const uint64_t mine = __atomic_add_fetch(&cpu.sent, 1, __ATOMIC_RELAXED);
    arch::interrupt_cpu(id, arch::CpuInterrupt::Call);
    while (get(cpu.seen) < mine) arch::spin_hint();
}

void interrupt_all(uint64_t number) {
    for (uint64_t i = 0; i < 2000 * rounds / cpu_count(); ++i) {
        interrupt_and_wait(static_cast<CpuId>((number + i) % cpu_count()));
        yield();
    }
}

/// There are no ticks: what idle loses is lost for good.
void test_interrupts() {
    TestKernel& k = self();
    start_cpus();
    for (uint64_t round = 0; round < 50 * rounds; ++round)  // one after the other
        for (CpuId id = 0; id < cpu_count(); ++id) interrupt_and_wait(id);
    for (uint64_t round = 0; round < 200 * rounds; ++round) {  // all at once, twice
        uint64_t wanted[arch::kMaximumCpus];
        for (CpuId id = 0; id < cpu_count(); ++id) {
            wanted[id] = __atomic_add_fetch(&k.cpus[id].sent, 1, __ATOMIC_RELAXED);
            arch::interrupt_cpu(id, arch::CpuInterrupt::Call);
            arch::interrupt_cpu(id, arch::CpuInterrupt::Call);
        }
        for (CpuId id = 0; id < cpu_count(); ++id)
            while (get(k.cpus[id].seen) < wanted[id]) arch::spin_hint();
    }
    for (uint64_t i = 0; i < cpu_count(); ++i) start_thread(interrupt_all, i);  // everybody everybody
    // Without ticks an idle CPU looks for threads only when it is told to.
    while (get(k.alive) != 1) {
        for (CpuId id = 0; id < cpu_count(); ++id) arch::interrupt_cpu(id, arch::CpuInterrupt::Call);
        yield();
    }
    for (CpuId id = 0; id < cpu_count(); ++id) {  // also where preemption is off
        preempt_disable();
        const uint64_t before = get(k.cpus[id].watchdogs);
        arch::interrupt_cpu(id, arch::CpuInterrupt::Watchdog);
        while (get(k.cpus[id].watchdogs) == before) arch::spin_hint();
        interrupt_and_wait(id);
        preempt_enable();
    }
    join_threads();
}

/// Yields with patterns in what a call preserves; returns what differs afterwards.
__attribute__((noinline)) uint64_t yield_with_pattern(uint64_t pattern) {
    uint64_t difference = 0;
    asm volatile(
        "movq %%rsp, %%r15\n\t"
        "andq $-16, %%rsp\n\t"
        "movq %[pattern], %%rbx\n\t"
        "leaq 1(%%rbx), %%r12\n\t"
        "leaq 2(%%rbx), %%r13\n\t"
        "leaq 3(%%rbx), %%r14\n\t"
        "pushq %%rbx\n\t"
        "pushq %%rbx\n\t"
        "callq *%[function]\n\t"
        "popq %%rax\n\t"
        "popq %%rax\n\t"
        "movq %%r15, %%rsp\n\t"
        "xorq %%rbx, %%rax\n\t"
        "decq %%r12\n\t"
        "subq $2, %%r13\n\t"
        "subq $3, %%r14\n\t"
        "xorq %%rbx, %%r12\n\t"
        "xorq %%rbx, %%r13\n\t"
        "xorq %%rbx, %%r14\n\t"
        "orq %%r12, %%rax\n\t"
        "orq %%r13, %%rax\n\t"
        "orq %%r14, %%rax\n\t"
        : "=&a"(difference), [pattern] "+&D"(pattern)
        : [function] "S"(&yield)
        : "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
    return difference;
}

void migrate(uint64_t number) {
    TestKernel& k = self();
    while (get(k.stop) == 0) {
        CHECK(yield_with_pattern(number * 0x1234567890abcdef) == 0);
        preempt_disable();
        const TestCpu& cpu = this_cpu();
        CHECK(cpu.local.self == &cpu.local && cpu.local.cpu == current_cpu() && count() == 1);
        CHECK(cpu.tid == thread_id());
        CHECK(*errno_location() == 1000 + static_cast<int>(current_cpu()));
        CHECK(cpu.current != nullptr && cpu.current->argument == number);
        stack_t stack{};
        CHECK(syscall(SYS_sigaltstack, nullptr, &stack) == 0 && stack.ss_flags == 0 && stack.ss_sp != nullptr);
        preempt_enable();
    }
}

/// Computes without points, so that only ticks take its CPU away; module code, so that they do in every build.
void compute(uint64_t) {
    uint64_t result = 0;
    CHECK(provoke(kWaitForWord, reinterpret_cast<uint64_t>(&self().stop), &result) == GateFailure::None);
}

void test_migrate() {
    TestKernel& k = self();
    load_victim();
    start_cpus();
    for (uint64_t i = 1; i <= 60; ++i) start_thread(migrate, i);
    for (uint64_t i = 1; i <= 4; ++i) start_thread(compute, i);
    while (get(k.migrations) < 100'000 * rounds) yield();
    set(k.stop, 1);
    join_threads();
    CHECK(k.preempted != 0);
}

void provoke_faults(uint64_t) {
    uint64_t result = 0;
    for (uint64_t i = 0; i < 300 * rounds; ++i) {
        const GateFailure failure = provoke(kNullRead, 0, &result);  // on a busy host its budget may end first
        CHECK(failure == GateFailure::Fault || failure == GateFailure::Budget);
        if (i % 30 == 0) CHECK(provoke(kLoopForever, 0, &result) == GateFailure::Budget);
        CHECK(count() == 0 && cpu_local()->gate == nullptr);
        yield();
    }
}

void test_faults() {
    load_victim();
    self().budget = 2;
    start_cpus();
    for (uint64_t i = 0; i < 2 * cpu_count(); ++i) start_thread(provoke_faults, i);
    join_threads();
}

void test_restart() {
    TestKernel& k = self();
    start_cpus();
    uint64_t stopped[arch::kMaximumCpus] = {};
    for (uint64_t i = 0; i < 1000 * rounds; ++i) {
        const auto id = static_cast<CpuId>(i % cpu_count());  // the boot CPU too
        TestCpu& cpu = k.cpus[id];
        set(cpu.want_stop, 1);
        arch::interrupt_cpu(id, arch::CpuInterrupt::Call);
        while (get(cpu.want_stop) != 0) yield();
        ++stopped[id];
        start_cpu(id);
        while (get(cpu.starts) != 1 + stopped[id]) arch::spin_hint();
        if (i % 7 == 0) interrupt_and_wait(id);
        if (i % 50 == 0)
            for (const uint64_t ticks = get(cpu.ticks); get(cpu.ticks) < ticks + 2;) yield();
    }
}

void spin_somehow(uint64_t number) {
    TestKernel& k = self();
    uint64_t result = 0;
    if (number % 3 == 0) preempt_disable();
    add(k.sum);
    if (number % 3 == 1) provoke(kWaitForWord, reinterpret_cast<uint64_t>(&k.stop), &result);
    while (get(k.stop) == 0) {
        add(k.unlocked_sum);
        if (kThreadSanitizer || number % 2 == 0) arch::spin_hint();
    }
}

/// Powers off while the other CPUs do whatever they do.
void test_power() {
    TestKernel& k = self();
    load_victim();
    start_cpus();
    for (uint64_t i = 0; i + 2 < cpu_count(); ++i) start_thread(spin_somehow, i);
    while (get(k.sum) + 2 < cpu_count()) yield();
}

/// Every CPU wants to halt all others: one goes on.
void halt_all(uint64_t) {
    TestKernel& k = self();
    preempt_disable();
    add(k.sum);
    while (get(k.sum) < cpu_count() - 1) arch::spin_hint();
    arch::halt_other_cpus();
    arch::halt_other_cpus();
    add(k.unlocked_sum);
    CHECK(get(k.unlocked_sum) == 1);
    arch::power_off(0);
}

void test_halt() {
    TestKernel& k = self();
    load_victim();
    start_cpus();
    for (uint64_t i = 0; i + 1 < cpu_count(); ++i) start_thread(spin_somehow, i);
    while (get(k.sum) + 1 < cpu_count()) yield();
    preempt_disable();
    arch::halt_other_cpus();
    const uint64_t before = get(k.unlocked_sum);
    for (int i = 0; i < 2000; ++i) arch::spin_hint();
    CHECK(get(k.unlocked_sum) == before);
    CHECK(!arch::start_cpu(current_cpu() == 0 ? 1 : 0).ok());
    CHECK(arch::console_read() == 'a');
}

void test_halt_race() {
    start_cpus();
    for (uint64_t i = 0; i + 1 < cpu_count(); ++i) start_thread(halt_all, i);
    for (;;) yield();
}

void replay_worker(uint64_t number) {
    TestKernel& k = self();
    for (int i = 0; i < 300; ++i) {
        const uint64_t seen = k.unlocked_sum;
        arch::preemption_point();  // the planted bug: another update gets lost here
        k.unlocked_sum = seen + 1;
        preempt_disable();
        spin_lock(k.sum_lock);  // and none here
        const uint64_t locked = k.sum;
        arch::preemption_point();
        k.sum = locked + 1;
        arch::preemption_point();
        spin_unlock(k.sum_lock);
        preempt_enable();
        if (i % 16 == 0) interrupt_and_wait(static_cast<CpuId>((number + static_cast<uint64_t>(i)) % cpu_count()));
        if (i % 5 == 0) yield();
    }
}

void wait_for_word(uint64_t address) {
    uint64_t result = 0;
    CHECK(provoke(kWaitForWord, address, &result) == GateFailure::None && result == 1);
}

void test_replay() {
    TestKernel& k = self();
    load_victim();
    start_cpus();
    for (uint64_t i = 0; i < 10; ++i) start_thread(replay_worker, i);
    join_threads();
    CHECK(k.sum == 3000);
    for (uint64_t i = 1; i <= 20 && cpu_count() > 1; ++i) {
        TestCpu& cpu = k.cpus[i % cpu_count()];
        const uint64_t starts = cpu.starts;
        set(cpu.want_stop, 1);
        arch::interrupt_cpu(cpu.local.cpu, arch::CpuInterrupt::Call);
        while (get(cpu.want_stop) != 0) yield();
        start_cpu(cpu.local.cpu);
        while (get(cpu.starts) == starts) arch::spin_hint();
    }
    // Endless loops pass no point: one waits for another thread, which runs on any CPU, one is ended.
    start_thread(wait_for_word, reinterpret_cast<uint64_t>(&k.stop));
    yield();
    for (int i = 0; i < 3; ++i) yield();
    set(k.stop, 1);
    join_threads();
    k.budget = 5;
    uint64_t result = 0;
    CHECK(provoke(kLoopForever, 0, &result) == GateFailure::Budget);
    k.budget = 0;
    if (cpu_count() > 1) {
        arch::halt_other_cpus();
        const uint64_t steps = arch::now_ns();
        for (int i = 0; i < 1000; ++i) arch::preemption_point();
        CHECK(arch::now_ns() > steps && !arch::start_cpu((current_cpu() + 1) % cpu_count()).ok());
    }
    arch::console_write(format("unlocked {}, migrations {}\n", k.unlocked_sum, k.migrations).text());
    for (CpuId id = 0; id < cpu_count(); ++id) {
        CHECK(k.cpus[id].ticks != 0);
        arch::console_write(format("{}/{} ", k.cpus[id].ticks, k.cpus[id].calls).text());
    }
    arch::console_write("\n");
}

struct Scenario {
    const char* name;
    void (*run)();
    bool ticks;
};
const Scenario kScenarios[] = {
    {"ticks", test_ticks, true},   {"interrupts", test_interrupts, false}, {"migrate", test_migrate, true},
    {"faults", test_faults, true}, {"restart", test_restart, true},        {"power", test_power, true},
    {"halt", test_halt, true},     {"halt_race", test_halt_race, true},    {"replay", test_replay, true},
};

void scenario_main(uint64_t number) {
    kScenarios[number].run();
    arch::power_off(0);
}

}  // namespace

namespace helix::kernel {

void kernel_main(const arch::BootInfo& boot) {
    auto* k = static_cast<TestKernel*>(aligned_alloc(alignof(TestKernel), sizeof(TestKernel)));
    new (k) TestKernel;
    k->boot = &boot;
    k->free_memory = boot.memory[0].begin;
    k->free_region = boot.region.begin + kPage;
    for (CpuId id = 0; id < arch::kMaximumCpus; ++id) {
        CpuLocal& local = k->cpus[id].local;
        local.preempt_word = kNoRescheduleWanted | 1;
        local.cpu = id;
        local.self = &local;
        local.reschedule = reschedule;
        local.kernel = k;
    }
    k->cpus[0].tid = thread_id();
    arch::set_cpu_local(&k->cpus[0].local);
    uint64_t number = 0;
    while (Text::from_c_string(kScenarios[number].name) != boot.command_line) ++number;
    k->with_ticks = kScenarios[number].ticks;
    start_thread(scenario_main, number);
    run_cpu();
}

void cpu_main(CpuId id) {
    // The port passes the kernel of the CPU that started this one on.
    auto& k = *static_cast<TestKernel*>(cpu_local()->kernel);
    TestCpu& cpu = k.cpus[id];
    cpu.local.preempt_word = kNoRescheduleWanted | 1;
    cpu.current = cpu.previous = nullptr;
    cpu.idle_context = {};
    cpu.tid = thread_id();
    arch::set_cpu_local(&cpu.local);  // from here on others may interrupt it
    run_cpu();
}

void on_timer(TrapFrame& frame) {
    CHECK(count() >= 1);
    TestKernel& k = self();
    TestCpu& cpu = this_cpu();
    CHECK(k.with_ticks && cpu.tid == thread_id());
    arch::set_timer(arch::now_ns() + kTickNs);
    add(cpu.ticks);
    Gate* const gate = cpu.local.gate;
    // Only where the gate's own code was interrupted, not a handler above it, which may hold the queue's lock.
    const bool is_own = gate != nullptr && count() == (gate->preempt_word & ~kNoRescheduleWanted) + 1;
    if (is_own && k.budget != 0 && ++gate->ticks >= k.budget) {
        arch::trap_resume_at_gate(frame, *gate, GateFailure::Budget);
        return;
    }
    want_reschedule();
    if (count() != 1 || cpu.current == nullptr) return;
    add(k.preempted);
    schedule();
}

void on_interrupt(TrapFrame&) {
    CHECK(count() >= 1);
    TestCpu& cpu = this_cpu();
    CHECK(cpu.tid == thread_id());
    add(cpu.calls);
    const uint64_t sent = __atomic_load_n(&cpu.sent, __ATOMIC_RELAXED);
    // A handler that this one interrupts has looked earlier.
    uint64_t seen = get(cpu.seen);
    while (seen < sent &&
           !__atomic_compare_exchange_n(&cpu.seen, &seen, sent, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    }
    want_reschedule();
    if (count() == 1 && cpu.current != nullptr) schedule();
}

void on_watchdog(TrapFrame&) {
    CHECK(count() >= 1);
    add(this_cpu().watchdogs);
}

void on_console_input(TrapFrame&) {}
void on_line(TrapFrame&, uint32_t) {}

void on_fault(TrapFrame& frame, const Fault& fault) {
    Gate* gate = cpu_local()->gate;
    if (gate == nullptr) {
        arch::console_write(format("fault {} outside gates, address {:x}, at {:x}, CPU {}\n",
                                   static_cast<uint64_t>(fault.kind), fault.address,
                                   arch::trap_instruction_pointer(frame), current_cpu())
                                .text());
        arch::power_off(1);
    }
    CHECK(fault.kind == FaultKind::PageFault && fault.address == 0);
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

struct Started {
    Machine* machine;
    int input;
    int output;  ///< where what it prints can be read
    int output_end;
};

Started start_machine(const char* scenario, uint32_t cpus, bool replay = false, uint64_t seed = 0) {
    int input[2];
    int output[2];
    if (pipe(input) != 0 || pipe(output) != 0 || write(input[1], "abc", 3) != 3) abort();
    close(input[1]);
    Options options;
    options.command_line = Text::from_c_string(scenario);
    options.memory_bytes = 128 << 20;
    options.cpu_count = cpus;
    options.replay = replay;
    options.seed = seed;
    options.input = input[0];
    options.output = options.messages = output[1];
    auto machine = Machine::start(options);
    if (!machine.ok()) {
        fprintf(stderr, "%.*s\n", static_cast<int>(machine.error().sentence().size()),
                machine.error().sentence().data());
        abort();
    }
    return {machine.value(), input[0], output[0], output[1]};
}

struct Run {
    int status = -1;
    char output[1024] = {};
};

Run wait(const Started& started) {
    Run result;
    result.status = started.machine->wait();
    close(started.input);
    close(started.output_end);
    size_t size = 0;
    for (ssize_t n; size + 1 < sizeof(result.output) &&
                    (n = read(started.output, result.output + size, sizeof(result.output) - 1 - size)) > 0;)
        size += static_cast<size_t>(n);
    close(started.output);
    return result;
}

bool good = true;

void report(const char* name, uint32_t cpus, const Run& result, bool also = true) {
    const bool passed = result.status == 0 && also;
    printf("%s %s, %u CPUs\n%s", passed ? "ok  " : "FAIL", name, cpus, passed ? "" : result.output);
    fflush(stdout);
    good &= passed;
}

void run_replay() {
    for (const uint32_t cpus : {1u, 2u, 4u, 8u}) {
        const Run first = wait(start_machine("replay", cpus, true, 7));
        const Run second = wait(start_machine("replay", cpus, true, 7));
        const Run other = wait(start_machine("replay", cpus, true, 8));
        const bool same = strcmp(first.output, second.output) == 0;
        report("replay", cpus, first, same && strcmp(first.output, other.output) != 0);
        printf("%s%s%s", first.output, same ? "" : second.output, other.output);
    }
}

}  // namespace

int main(int argument_count, char** arguments) {
    const char* only = argument_count > 1 ? arguments[1] : nullptr;
    if (argument_count > 2) rounds = strtoull(arguments[2], nullptr, 10);
    const auto is_wanted = [&](const char* name) { return only == nullptr || strcmp(only, name) == 0; };
    for (const Scenario& scenario : kScenarios) {
        if (!is_wanted(scenario.name)) continue;
        if (scenario.run == test_replay) {
            run_replay();
            continue;
        }
        for (const uint32_t cpus : {4u, 16u, 64u})
            if (cpus <= 16 || scenario.run == test_ticks || scenario.run == test_interrupts)
                report(scenario.name, cpus, wait(start_machine(scenario.name, cpus)));
    }
    if (is_wanted("together")) {
        const Started machines[] = {start_machine("migrate", 4), start_machine("interrupts", 5),
                                    start_machine("restart", 3)};
        for (const Started& machine : machines) report("together", 4, wait(machine));
    }
    if (is_wanted("machines")) {
        Run result;
        result.status = 0;
        for (uint64_t i = 0; i < 100 * rounds && result.status == 0; ++i)
            result = wait(start_machine(i % 4 == 3 ? "halt" : "power", i % 2 == 0 ? 16 : 4));
        report("machines", 16, result);
    }
    return good ? 0 : 1;
}

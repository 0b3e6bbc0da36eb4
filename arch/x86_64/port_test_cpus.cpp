// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The port's test with many CPUs: each does what CPU 0 tells it, and nothing here depends on how fast that is.

#include <atomic>

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/cpus.hpp"
#include "arch/x86_64/devices.hpp"
#include "arch/x86_64/patience.hpp"
#include "arch/x86_64/port_test.hpp"
#include "arch/x86_64/trap.hpp"

namespace helix::port_test {

namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kHang = 30'000'000'000;

/// One CPU of the test. A job is done once `jobs_done` has caught up with `jobs_given`.
struct TestCpu {
    CpuLocal local{};
    std::atomic<uint32_t> starts = 0;
    std::atomic<uint64_t> ticks = 0;
    std::atomic<uint64_t> calls = 0;
    std::atomic<uint64_t> watchdogs = 0;
    std::atomic<uint64_t> faults = 0;
    kernel::Fault last_fault{};
    std::atomic<bool> kill_on_watchdog = false;
    std::atomic<uint64_t> spun = 0;
    void (*job)(CpuId) = nullptr;
    std::atomic<uint64_t> jobs_given = 0;
    std::atomic<uint64_t> jobs_done = 0;
};
TestCpu test_cpus_[arch::kMaximumCpus];
uint32_t count = 1;
std::atomic<bool> stop_spinning;
InstanceToken* const kInstance = nullptr;

/// Waits for `holds`; ends the test when that never comes.
template <typename Predicate>
void await(Text what, Predicate holds) {
    x86_64::Patience patience(kHang);
    while (!holds()) {
        arch::spin_hint();
        if (!patience.is_over()) continue;
        static std::atomic<bool> reported;
        if (reported.exchange(true)) continue;  // one tells
        print("FAILED: never came: ", what, "\n");
        for (CpuId id = 0; id < count; ++id) {
            const TestCpu& cpu = test_cpus_[id];
            print("  cpu ", Number(id).text(), " ticks ", Number(cpu.ticks).text(), " calls ", Number(cpu.calls).text(),
                  " given ", Number(cpu.jobs_given).text(), " done ", Number(cpu.jobs_done).text(), " spun ",
                  Number(cpu.spun).text(), " state ",
                  Number(static_cast<uint64_t>(x86_64::cpus[id].state.load())).text(), "\n");
        }
        arch::power_off(1);
    }
}

bool is_done(CpuId id) {
    return test_cpus_[id].jobs_done == test_cpus_[id].jobs_given;
}

/// Tells CPU `id`, which has nothing to do, to run `job`; it may be asleep.
void give(CpuId id, void (*job)(CpuId)) {
    TestCpu& cpu = test_cpus_[id];
    cpu.job = job;
    cpu.jobs_given.fetch_add(1);
    arch::interrupt_cpu(id, arch::CpuInterrupt::Call);
}
void await_job(CpuId id, Text what) {
    await(what, [id] { return is_done(id); });
}
void give_all(void (*job)(CpuId), Text what) {
    for (CpuId id = 1; id < count; ++id) give(id, job);
    for (CpuId id = 1; id < count; ++id) await_job(id, what);
}

/// What a CPU's idle thread does in the kernel: look, and sleep only if no wake-up came since.
[[noreturn]] void work(CpuId id) {
    TestCpu& cpu = test_cpus_[id];
    for (;;) {
        preempt_disable();
        asm volatile("orl $0x80000000, %%gs:0" ::: "memory", "cc");
        const bool idle = is_done(id);
        if (idle) arch::idle();
        asm volatile("orl $0x80000000, %%gs:0" ::: "memory", "cc");
        preempt_enable();
        if (is_done(id)) continue;
        cpu.job(id);
        check(interrupts_are_on() && preemption_count() == 0 && cpu_local() == &cpu.local, "a CPU after a job");
        cpu.jobs_done.fetch_add(1);
    }
}

void start(CpuId id) {
    const uint32_t before = test_cpus_[id].starts;
    const Result<void> started = arch::start_cpu(id);
    check(started.ok(), "start_cpu");
    if (!started.ok()) {
        print("  cpu ", Number(id).text(), " ", describe(started.error().code()), "\n");
        arch::power_off(1);
    }
    await("cpu_main", [id, before] { return test_cpus_[id].starts == before + 1; });
}

// ---- Jobs.

void nothing(CpuId) {}
void without_ticks(CpuId) {
    x86_64::local_apic_stop();
}
void with_ticks(CpuId) {
    arch::start_interrupts();
    tick_again();
}
void stop(CpuId id) {
    test_cpus_[id].jobs_done.fetch_add(1);
    preempt_disable();
    arch::stop_cpu();
}
void spin(CpuId id) {
    while (!stop_spinning) test_cpus_[id].spun.fetch_add(1, std::memory_order_relaxed);
}

struct Victim final {
    virtual void undefined() { asm volatile("ud2"); }
    virtual void spin_without_interrupts() {
        asm volatile("cli");
        for (;;) cpu_count_up();
    }
    virtual void read(const volatile uint8_t* page) {
        for (;;) {
            (void)*page;
            cpu_count_up();
        }
    }
    virtual void read_without_interrupts(const volatile uint8_t* page) {
        asm volatile("cli");
        read(page);
    }
    virtual uint64_t recurse(uint64_t depth) {
        volatile uint64_t here[64];
        here[depth % 64] = depth;
        const uint64_t below = depth == UINT64_MAX ? 0 : recurse(depth + 1);
        return below + here[depth % 64];
    }
    static void cpu_count_up() { test_cpus_[current_cpu()].spun.fetch_add(1, std::memory_order_relaxed); }
};
Victim victim;
uint8_t* read_page = nullptr;

void fault_often(CpuId id) {
    TestCpu& cpu = test_cpus_[id];
    for (int i = 0; i < 200; ++i) {
        const uint64_t before = cpu.faults;
        const bool ends = gate_call<&Victim::undefined>(kInstance, &victim, nullptr) == GateFailure::Fault;
        check(ends && cpu.faults == before + 1 && cpu.last_fault.kind == kernel::FaultKind::InvalidOpcode,
              "every CPU takes its own faults");
    }
}
void overflow_stack(CpuId id) {
    uint64_t out;
    const bool ends = gate_call<&Victim::recurse>(kInstance, &victim, &out, uint64_t{0}) == GateFailure::Fault;
    check(ends && test_cpus_[id].last_fault.kind == kernel::FaultKind::StackOverflow,
          "a guard ends the stack on which a CPU starts");
}
void hang_without_interrupts(CpuId) {
    const bool ends = gate_call<&Victim::spin_without_interrupts>(kInstance, &victim, nullptr) == GateFailure::Budget;
    check(ends, "Watchdog ends a loop without interrupts");
}
void read_until_fault(CpuId id) {
    const bool ends = gate_call<&Victim::read>(kInstance, &victim, nullptr, read_page) == GateFailure::Fault;
    const kernel::Fault fault = test_cpus_[id].last_fault;
    check(ends && fault.kind == kernel::FaultKind::PageFault && fault.address == reinterpret_cast<uint64_t>(read_page),
          "a reader faults at the page that was unmapped");
}
void read_without_interrupts_until_fault(CpuId) {
    check(gate_call<&Victim::read_without_interrupts>(kInstance, &victim, nullptr, read_page) == GateFailure::Fault,
          "a reader without interrupts faults at the page that was unmapped");
}

// ---- Tests.

void test_start() {
    check(arch::start_cpu(0).error().code() == ErrorCode::InvalidArgument &&
              arch::start_cpu(count).error().code() == ErrorCode::InvalidArgument,
          "start_cpu refuses the boot CPU and CPUs that do not exist");
    for (CpuId id = 1; id < count; ++id) start(id);
    check(arch::start_cpu(1).error().code() == ErrorCode::InvalidState, "a CPU that runs is not started again");
    for (CpuId id = 1; id < count; ++id) await("ticks on every CPU", [id] { return test_cpus_[id].ticks >= 3; });
    give_all(nothing, "the first job");
}

void test_faults_of_cpus() {
    give_all(fault_often, "faults");
    give_all(overflow_stack, "stack overflows");
}

void test_calls() {
    // Without ticks, a wake-up that idle() misses is never made good.
    give_all(without_ticks, "stopping the ticks");
    for (uint32_t round = 0; round < 1200 / count; ++round)
        for (CpuId id = 1; id < count; ++id) {
            give(id, nothing);
            await_job(id, "an answer to a call");
        }
    for (int round = 0; round < 300; ++round) give_all(nothing, "an answer to a call to all");
    const uint64_t before = test_cpus_[0].calls;
    arch::interrupt_cpu(0, arch::CpuInterrupt::Call);
    await("a CPU's call to itself", [before] { return test_cpus_[0].calls > before; });
}

/// Job: passes on what it got to the next CPU, until the tokens have gone far enough.
std::atomic<int64_t> passes_left;
void pass_on(CpuId id) {
    if (passes_left.fetch_sub(1) <= 0) return;
    const CpuId next = id + 1 < count ? id + 1 : 1;
    await("the next CPU's idleness", [next, id] { return next == id || is_done(next); });
    if (next != id) give(next, pass_on);
}
void test_ring() {
    passes_left = 2000;
    give(1, pass_on);
    await("the end of the ring", [] {
        for (CpuId id = 1; id < count; ++id)
            if (!is_done(id)) return false;
        return passes_left <= 0 || count == 2;
    });
}

/// Several call CPU 1 as fast as they can: their calls must not pile up on its stack.
constexpr uint64_t kStorm = 500;
std::atomic<uint64_t> storm_end;
void call_first(CpuId) {
    await("the calls of a storm", [] {
        arch::interrupt_cpu(1, arch::CpuInterrupt::Call);
        return test_cpus_[1].calls >= storm_end;
    });
}
std::atomic<bool> slow_calls;
std::atomic<uint32_t> call_depth, deepest_call;  // on CPU 1
void test_call_storm() {
    stop_spinning = false;
    slow_calls = true;
    storm_end = test_cpus_[1].calls + kStorm;
    give(1, spin);
    const CpuId callers = count < 5 ? count : 5;  // more would only keep the target from running, under an emulator
    for (CpuId id = 2; id < callers; ++id) give(id, call_first);
    call_first(0);
    for (CpuId id = 2; id < callers; ++id) await_job(id, "the end of a storm of calls");
    stop_spinning = true;
    slow_calls = false;
    await_job(1, "the end of a storm's target");
    check(deepest_call <= 2, "calls do not pile up on the stack");
}

/// Non-maskable interrupts between the look and the sleep of idle() lose no call. The one instruction where that may
/// happen is rarely met, so once more on purpose.
extern "C" const uint8_t x86_64_idle_wait[], x86_64_idle_end[];
void test_idle_window() {
    kernel::TrapFrame frame{};
    frame.rip = reinterpret_cast<uint64_t>(x86_64_idle_wait);
    x86_64::cpus[0].non_maskable_reasons = x86_64::kReasonFlush;
    check(x86_64::take_non_maskable(frame, true) && frame.rip == reinterpret_cast<uint64_t>(x86_64_idle_end),
          "a non-maskable interrupt in front of the sleep skips it");
}

void watch_first(CpuId) {
    while (!stop_spinning) arch::interrupt_cpu(1, arch::CpuInterrupt::Watchdog);
}
void test_idle_under_watchdogs() {
    test_idle_window();
    if (count < 3) return;
    stop_spinning = false;
    give(2, watch_first);
    for (int round = 0; round < 3000; ++round) {
        give(1, nothing);
        await_job(1, "a call among watchdogs");
    }
    stop_spinning = true;
    await_job(2, "the end of the watchdogs");
    check(test_cpus_[1].watchdogs > 0, "watchdogs arrive");
}

void test_watchdog() {
    give_all(with_ticks, "ticks again");
    for (int round = 0; round < 20; ++round)
        for (CpuId id = 1; id < count; ++id) {
            TestCpu& cpu = test_cpus_[id];
            const uint64_t before = cpu.spun;
            give(id, hang_without_interrupts);
            await("a loop without interrupts", [&cpu, before] { return cpu.spun > before; });
            cpu.kill_on_watchdog = true;
            arch::interrupt_cpu(id, arch::CpuInterrupt::Watchdog);
            await_job(id, "the end of a loop without interrupts");
        }
    const uint64_t before = test_cpus_[0].watchdogs;
    arch::interrupt_cpu(0, arch::CpuInterrupt::Watchdog);
    await("a CPU's watchdog for itself", [before] { return test_cpus_[0].watchdogs > before; });
}

void test_stop() {
    const CpuId last = count - 1;
    for (int round = 0; round < 100; ++round) {
        give(last, stop);
        start(last);
        give(last, nothing);
        await_job(last, "a job after a restart");
    }
    for (CpuId id = 1; id < count; ++id) give(id, stop);
    for (CpuId id = 1; id < count; ++id) start(id);
    give_all(nothing, "a job after all were stopped");
}

/// A CPU that is not there: its start ends, and later ones are none the worse.
void test_missing_cpu() {
    const CpuId last = count - 1;
    give(last, stop);
    await("a stop", [last] { return x86_64::cpus[last].state.load() == x86_64::CpuState::Off; });
    const uint32_t apic_id = x86_64::cpus[last].apic_id;
    x86_64::cpus[last].apic_id = 0xe1;
    check(arch::start_cpu(last).error().code() == ErrorCode::TimedOut, "start_cpu gives up a CPU that does not answer");
    x86_64::cpus[last].apic_id = apic_id;
    start(last);
    give(last, nothing);
    await_job(last, "a job after a start that failed");
}

void test_shootdown(uint8_t* at, arch::PhysicalAddress frames) {
    for (uint64_t page = 0; page < 2; ++page)
        __builtin_memset(arch::direct_map(frames + page * 40 * kPage / 2), static_cast<int>(page + 1), kPage);
    for (int round = 0; round < 60; ++round) {
        const size_t pages = round % 3 == 2 ? 40 : 1;  // page by page, and everything at once
        const bool interrupts_off = round % 10 == 9;
        check(arch::map(at, frames, pages, arch::Protection::Read).ok(), "a page to read");
        read_page = at + (pages - 1) * kPage;
        const CpuId readers = count < 4 ? count : 4;
        for (CpuId id = 1; id < readers; ++id) {
            const uint64_t before = test_cpus_[id].spun;
            give(id, interrupts_off ? read_without_interrupts_until_fault : read_until_fault);
            await("a reader", [id, before] { return test_cpus_[id].spun > before + 10; });
        }
        arch::unmap(at, pages);
        // Who had read the page may still count that; nobody reads it again.
        uint64_t spun[4];
        for (CpuId id = 1; id < readers; ++id) spun[id] = test_cpus_[id].spun;
        for (CpuId id = 1; id < readers; ++id) {
            await_job(id, "a fault of a reader");
            check(test_cpus_[id].spun <= spun[id] + 1, "nobody reads a page after unmap returned");
        }
    }
}

/// What a mapping shows is what was mapped last, on every CPU.
std::atomic<uint8_t> expected_byte;
void look(CpuId) {
    check(*static_cast<volatile uint8_t*>(read_page) == expected_byte, "a CPU sees the newest mapping");
}
void test_remap(uint8_t* at, arch::PhysicalAddress frames) {
    read_page = at;
    for (uint64_t page = 0; page < 50; ++page) {
        static_cast<uint8_t*>(arch::direct_map(frames + page * kPage))[0] = static_cast<uint8_t>(page + 100);
        expected_byte = static_cast<uint8_t>(page + 100);
        check(arch::map(at, frames + page * kPage, 1, arch::Protection::Read).ok(), "a new mapping");
        give_all(look, "a look at a mapping");
        arch::unmap(at, 1);
    }
}

/// Time handed back and forth: never before what the other CPU saw.
std::atomic<uint64_t> told[2];
uint64_t time_rounds() {
    return 2000 / count;
}
void tell_time(CpuId) {
    uint64_t mine = 0;
    for (uint64_t round = 0; round < time_rounds(); ++round) {
        uint64_t theirs;
        await("a time from CPU 0", [&theirs, mine] { return (theirs = told[0]) > mine; });
        mine = arch::now_ns();
        check(mine >= theirs, "time is the same on every CPU");
        if (mine == theirs) ++mine;
        told[1] = mine;
    }
}
void test_time_of_cpus(CpuId from = 1) {
    for (CpuId id = from; id < count; ++id) {
        told[0] = told[1] = 0;
        give(id, tell_time);
        uint64_t theirs = 0;
        for (uint64_t round = 0; round < time_rounds(); ++round) {
            uint64_t mine = arch::now_ns();
            // One step is allowed for telling a new time from an old one.
            check(mine + 1 >= theirs, "time is the same on every CPU");
            if (mine <= theirs) mine = theirs + 1;
            told[0] = mine;
            await("a time from another CPU", [&theirs, mine] { return (theirs = told[1]) >= mine; });
        }
        await_job(id, "the end of telling the time");
    }
}

/// A counter that is wrong is set right when its CPU starts; where the machine lets it be set wrong at all.
std::atomic<bool> counter_is_wrong;
constexpr uint64_t kWrong = 1'000'000'000'000;
void set_counter_wrong(CpuId id) {
    const uint64_t before = x86_64::read_cycles();
    if ((x86_64::cpuid(7).ebx & 1u << 1) != 0)
        x86_64::write_msr(x86_64::kMsrTimeStampAdjust, x86_64::read_msr(x86_64::kMsrTimeStampAdjust) + kWrong);
    else
        x86_64::write_msr(x86_64::kMsrTimeStamp, before + kWrong);
    counter_is_wrong = x86_64::read_cycles() - before >= kWrong;
    stop(id);
}
void test_wrong_counter() {
    const CpuId last = count - 1;
    counter_is_wrong = false;
    give(last, set_counter_wrong);
    start(last);
    print("  counter set wrong: ", counter_is_wrong ? Text("yes\n") : Text("this machine does not let it\n"));
    give(last, nothing);
    await_job(last, "a job after the clock was wrong");
    test_time_of_cpus(last);
}

void print_lines(CpuId id) {
    for (int i = 0; i < 20; ++i) {
        char line[] = "CPU 00 says abcdefghijklmnopqrstuvwxyz\n";
        line[4] = static_cast<char>('0' + id / 10);
        line[5] = static_cast<char>('0' + id % 10);
        arch::console_write(Text(line, sizeof(line) - 1));
    }
}

}  // namespace

void test_cpus(const arch::BootInfo& boot, uint8_t* at, arch::PhysicalAddress frames) {
    count = boot.cpu_count;
    if (count == 1) return;
    const bool x2 = (x86_64::read_msr(x86_64::kMsrApicBase) & 1u << 10) != 0;
    print("CPUs: ", Number(count).text(), x2 ? Text(", x2APIC\n") : Text(", xAPIC\n"));
    const struct {
        Text name;
        void (*run)(uint8_t* at, arch::PhysicalAddress frames);
    } parts[] = {
        {"start", [](uint8_t*, uint64_t) { test_start(); }},
        {"faults", [](uint8_t*, uint64_t) { test_faults_of_cpus(); }},
        {"calls", [](uint8_t*, uint64_t) { test_calls(); }},
        {"ring", [](uint8_t*, uint64_t) { test_ring(); }},
        {"call storm", [](uint8_t*, uint64_t) { test_call_storm(); }},
        {"idle under watchdogs", [](uint8_t*, uint64_t) { test_idle_under_watchdogs(); }},
        {"watchdog", [](uint8_t*, uint64_t) { test_watchdog(); }},
        {"shootdown", test_shootdown},
        {"remap", test_remap},
        {"time", [](uint8_t*, uint64_t) { test_time_of_cpus(); }},
        {"stop", [](uint8_t*, uint64_t) { test_stop(); }},
        {"missing CPU", [](uint8_t*, uint64_t) { test_missing_cpu(); }},
        {"wrong counter", [](uint8_t*, uint64_t) { test_wrong_counter(); }},
        {"lines", [](uint8_t*, uint64_t) { give_all(print_lines, "lines of all"); }},
    };
    for (const auto& part : parts) {
        const uint64_t begin = arch::now_ns();
        part.run(at, frames);
        print("  ", part.name, ": ", Number((arch::now_ns() - begin) / 1'000'000).text(), " ms\n");
    }
}

void test_halt() {
    if (count == 1) return;
    stop_spinning = false;
    for (CpuId id = 1; id < count; ++id) {
        const uint64_t before = test_cpus_[id].spun;
        give(id, id % 2 == 0 ? spin : hang_without_interrupts);
        await("CPUs that spin", [id, before] { return test_cpus_[id].spun > before; });
    }
    arch::halt_other_cpus();
    uint64_t spun[arch::kMaximumCpus];
    for (CpuId id = 1; id < count; ++id) spun[id] = test_cpus_[id].spun;
    const uint64_t begin = arch::now_ns();
    while (arch::now_ns() - begin < 50'000'000) arch::spin_hint();
    for (CpuId id = 1; id < count; ++id) check(test_cpus_[id].spun == spun[id], "a halted CPU does nothing");
    arch::halt_other_cpus();
}

void on_other_timer(kernel::TrapFrame&) {
    if (preemption_count() == 1 && !interrupts_are_on()) check(false, "ticks are handled with interrupts on");
    test_cpus_[current_cpu()].ticks.fetch_add(1);
}

void on_other_fault(kernel::TrapFrame& frame, const kernel::Fault& fault) {
    TestCpu& cpu = test_cpus_[current_cpu()];
    cpu.faults.fetch_add(1);
    cpu.last_fault = fault;
    Gate* const gate = cpu_local()->gate;
    if (gate == nullptr) {
        print("FAILED: a fault on CPU ", Number(current_cpu()).text(), " outside any gate: kind ",
              Number(static_cast<uint64_t>(fault.kind)).text(), " address ", Number(fault.address, 16).text(), " at ",
              Number(arch::trap_instruction_pointer(frame), 16).text(), " stack ",
              Number(arch::trap_stack_pointer(frame), 16).text(), "\n");
        arch::power_off(1);
    }
    arch::trap_resume_at_gate(frame, *gate, GateFailure::Fault);
}

}  // namespace helix::port_test

namespace helix::kernel {

using namespace port_test;

void cpu_main(CpuId id) {
    TestCpu& cpu = test_cpus_[id];
    cpu.local = {};
    cpu.local.preempt_word = kNoRescheduleWanted;
    cpu.local.cpu = id;
    cpu.local.self = &cpu.local;
    cpu.local.reschedule = [] { asm volatile("orl $0x80000000, %%gs:0" ::: "memory", "cc"); };
    check(!interrupts_are_on(), "a CPU starts with interrupts off");
    arch::set_cpu_local(&cpu.local);
    check(current_cpu() == id && cpu_local() == &cpu.local, "a CPU's own %gs");
    arch::start_interrupts();
    tick_again();
    cpu.starts.fetch_add(1);
    work(id);
}

void on_interrupt(TrapFrame&) {
    // Wakes idle(); the words of all CPUs are alike.
    test_cpus_[current_cpu()].calls.fetch_add(1);
    if (current_cpu() != 0) asm volatile("andl $0x7fffffff, %%gs:0" ::: "memory", "cc");
    if (current_cpu() != 1 || !slow_calls) return;
    const uint32_t depth = call_depth.fetch_add(1) + 1;
    if (depth > deepest_call) deepest_call = depth;
    for (volatile int i = 0; i < 500; i = i + 1) {
    }
    call_depth.fetch_sub(1);
}

void on_watchdog(TrapFrame& frame) {
    TestCpu& cpu = test_cpus_[current_cpu()];
    cpu.watchdogs.fetch_add(1);
    if (!cpu.kill_on_watchdog || cpu_local()->gate == nullptr) return;
    cpu.kill_on_watchdog = false;
    arch::trap_resume_at_gate(frame, *cpu_local()->gate, GateFailure::Budget);
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Finds the machine's CPUs, starts and stops them, and interrupts them.

#include "arch/x86_64/cpus.hpp"

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/devices.hpp"
#include "arch/x86_64/madt.hpp"
#include "arch/x86_64/paging.hpp"
#include "arch/x86_64/patience.hpp"
#include "arch/x86_64/shootdown.hpp"
#include "arch/x86_64/stacks.hpp"
#include "arch/x86_64/trap.hpp"

extern "C" {
extern const uint8_t start_cpu_real_mode[], start_cpu_real_mode_end[];
// What start_cpu.S looks for. The stack is taken by one CPU, once; zero: nobody is wanted.
std::atomic<uint64_t> start_cpu_stack;
std::atomic<uint32_t> start_cpu_apic_id;
// Behind the `hlt` of arch::idle.
extern const uint8_t x86_64_idle_wait[], x86_64_idle_end[];
}

namespace helix::x86_64 {

Cpu cpus[arch::kMaximumCpus];

namespace {

using kernel::TrapFrame;

uint32_t count = 1;  // written at boot

// What CPUs that start are to be like, written at boot; and which one is starting.
uint64_t boot_cr3 = 0, boot_cr4 = 0, boot_efer = 0;
CpuId starting = 0;

constexpr uint32_t kNobody = UINT32_MAX;
std::atomic<uint32_t> halting_cpu{kNobody};  // who called halt_other_cpus

constexpr uint64_t kMicrosecond = 1'000, kMillisecond = 1'000'000;

// ---- Who there is.

void add(uint32_t apic_id, uint32_t limit) {
    if (count >= limit || !apic_reaches(apic_id)) return;
    for (uint32_t id = 0; id < count; ++id)
        if (cpus[id].apic_id == apic_id) return;
    cpus[count++].apic_id = apic_id;
}

/// N of the last word `cpus=N`, at least 1; without the word, all that there may be.
uint32_t wanted_cpus(Text line) {
    constexpr Text kKey = "cpus=";
    uint32_t wanted = arch::kMaximumCpus;
    for (size_t at = 0; at < line.size();) {
        size_t end = line.find(' ', at);
        if (end == SIZE_MAX) end = line.size();
        const Text word = line.substr(at, end - at);
        at = end + 1;
        if (!word.starts_with(kKey)) continue;
        uint32_t value = 0;
        for (const char digit : word.substr(kKey.size())) {
            if (digit < '0' || digit > '9') return arch::kMaximumCpus;
            if (value < arch::kMaximumCpus) value = value * 10 + static_cast<uint32_t>(digit - '0');
        }
        wanted = value == 0 ? 1 : value < arch::kMaximumCpus ? value : arch::kMaximumCpus;
    }
    return wanted;
}

// ---- Starting.

void wait(uint64_t nanoseconds) {
    const uint64_t begin = arch::now_ns();
    while (arch::now_ns() - begin < nanoseconds) arch::spin_hint();
}

/// True once `cpu` took the stack that it was offered.
bool has_come(uint64_t nanoseconds) {
    Patience patience(nanoseconds);
    while (start_cpu_stack.load() != 0) {
        if (patience.is_over()) return false;
        arch::spin_hint();
    }
    return true;
}

/// Wakes the CPU and offers it `stack`; false if it does not come. What it does not come for is withdrawn.
bool wake(const Cpu& cpu, uint64_t stack, uint64_t pause_after_init, uint64_t patience) {
    const uint32_t page = static_cast<uint32_t>(low_memory_page() >> 12);
    start_cpu_apic_id.store(cpu.apic_id);
    start_cpu_stack.store(stack);
    apic_send(cpu.apic_id, kApicInit);
    wait(pause_after_init);
    apic_send(cpu.apic_id, kApicStartup | page);
    if (has_come(200 * kMicrosecond)) return true;
    apic_send(cpu.apic_id, kApicStartup | page);
    return has_come(patience) || start_cpu_stack.exchange(0) == 0;
}

/// Where a CPU comes to from start_cpu.S, by start_pml4 and on its own stack.
extern "C" [[noreturn]] void x86_64_cpu_start() {
    const CpuId id = starting;
    Cpu& self = cpus[id];
    write_cr3(boot_cr3);
    write_cr4(boot_cr4);
    write_msr(kMsrEfer, boot_efer);
    traps_load(id);
    local_apic_initialize();
    self.call_pending = false;  // a late one, for who was here before, is lost
    clock_follow(id);
    CpuState expected = CpuState::Starting;
    if (self.state.compare_exchange_strong(expected, CpuState::Running) && halting_cpu.load() == kNobody) {
        join_shootdowns();
        kernel::cpu_main(id);
    }
    for (;;) asm volatile("cli\n\thlt");
}

}  // namespace

uint32_t cpu_count() {
    return count;
}

uint32_t cpus_initialize(Text command_line) {
    cpus[0].apic_id = apic_id();
    cpus[0].state = CpuState::Running;
    const uint32_t limit = wanted_cpus(command_line);
    if (limit > 1 && low_memory_page() != 0)
        for_each_local_apic(acpi_table("APIC"), [limit](uint32_t apic_id) { add(apic_id, limit); });
    for (CpuId id = 1; id < count; ++id) {
        if (map_cpu_stacks(id)) continue;
        arch::console_write("helix: no memory for the stacks of all CPUs\n");
        count = id;
    }
    if (count > 1) {
        prepare_start_tables();
        const auto size = static_cast<size_t>(start_cpu_real_mode_end - start_cpu_real_mode);
        __builtin_memcpy(arch::direct_map(low_memory_page()), start_cpu_real_mode, size);
        boot_cr3 = read_cr3();
        boot_cr4 = read_cr4();
        boot_efer = read_msr(kMsrEfer);
    }
    return count;
}

void send_non_maskable(CpuId id, NonMaskableReason reason) {
    if (cpus[id].non_maskable_reasons.fetch_or(reason) == 0) apic_send(cpus[id].apic_id, kApicNonMaskable);
}

bool take_non_maskable(TrapFrame& frame, bool in_kernel) {
    Cpu& self = cpus[this_cpu()];
    const uint32_t reasons = self.non_maskable_reasons.exchange(0);
    const bool runs = self.state.load() == CpuState::Running;
    if ((reasons & kReasonHalt) != 0) {
        self.state = CpuState::Halted;
        for (;;) asm volatile("cli\n\thlt");
    }
    if (reasons == 0 && runs) return false;
    // Between `sti` and `hlt`, this interrupt ends the time in which none may come. One that waited then comes before
    // the `hlt`, which would sleep though there is something to do.
    if (frame.rip == reinterpret_cast<uint64_t>(x86_64_idle_wait))
        frame.rip = reinterpret_cast<uint64_t>(x86_64_idle_end);
    if ((reasons & kReasonFlush) != 0) answer_shootdown();
    if ((reasons & kReasonWatchdog) != 0 && runs && in_kernel) kernel::on_watchdog(frame);
    return true;
}

}  // namespace helix::x86_64

namespace helix::arch {

using namespace x86_64;

Result<void> start_cpu(CpuId id) {
    // The boot CPU gets the console's interrupts, and INIT would send it to the firmware: it never stops.
    if (id == 0 || id >= cpu_count()) return ErrorCode::InvalidArgument;
    Cpu& cpu = cpus[id];
    constexpr uint64_t kPatience = 2'000 * kMillisecond;
    Patience to_stop(kPatience);
    while (cpu.state.load() != CpuState::Off) {  // it may be on its last instructions in stop_cpu
        if (to_stop.is_over()) return ErrorCode::InvalidState;
        spin_hint();
    }
    cpu.call_pending = false;
    cpu.non_maskable_reasons = 0;
    clock_expect(id);
    starting = id;
    cpu.state = CpuState::Starting;
    const uint64_t stack = address_of(cpu_stacks(id).start) + kStartStackSize;
    // CPUs of this century need no pause after INIT. Should one, it gets a second, slow chance.
    const bool came =
        wake(cpu, stack, 20 * kMicrosecond, 100 * kMillisecond) || wake(cpu, stack, 10 * kMillisecond, kPatience);
    if (came && clock_lead(id, kPatience)) {
        Patience to_run(kPatience);
        while (cpu.state.load() != CpuState::Running && !to_run.is_over()) spin_hint();
    }
    CpuState expected = CpuState::Starting;
    if (!cpu.state.compare_exchange_strong(expected, CpuState::Off)) return {};
    apic_send(cpu.apic_id, kApicInit);
    return ErrorCode::TimedOut;
}

void stop_cpu() {
    interrupts_off();
    const CpuId id = this_cpu();
    if (id == 0) __builtin_trap();  // the caller's mistake
    local_apic_stop();
    // From here on another CPU may free what this one stands on, and start it again.
    asm volatile(
        "movl %0, (%1)\n"
        "1:\n\t"
        "cli\n\t"
        "hlt\n\t"
        "jmp 1b" ::"r"(CpuState::Off),
        "r"(&cpus[id].state)
        : "memory");
    __builtin_unreachable();
}

void halt_other_cpus() {
    const InterruptGuard guard;
    const CpuId self = this_cpu();
    uint32_t nobody = kNobody;
    if (!halting_cpu.compare_exchange_strong(nobody, self) && nobody != self)
        for (;;) asm volatile("cli\n\thlt");  // another was first
    for (CpuId id = 0; id < cpu_count(); ++id) {
        if (id == self || cpus[id].state.load() != CpuState::Running) continue;
        // Sent whatever else may be under way: a lost one must not keep this from arriving.
        cpus[id].non_maskable_reasons.fetch_or(kReasonHalt);
        apic_send(cpus[id].apic_id, kApicNonMaskable);
    }
    constexpr uint64_t kPatience = 1'000 * kMillisecond;
    Patience patience(kPatience);
    for (CpuId id = 0; id < cpu_count(); ++id)
        while (id != self && cpus[id].state.load() == CpuState::Running && !patience.is_over()) spin_hint();
    serial_keep();
}

void interrupt_cpu(CpuId id, CpuInterrupt kind) {
    Cpu& cpu = cpus[id];
    if (kind == CpuInterrupt::Watchdog)
        send_non_maskable(id, kReasonWatchdog);
    else if (!cpu.call_pending.exchange(true))
        apic_send(cpu.apic_id, kVectorCall);
}

}  // namespace helix::arch

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Starting and ending a hosted machine, and what sanitizers are told once.
#include "arch/hosted/machine.hpp"

#include "arch/hosted/port.hpp"
#include "helix/format.hpp"

#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>

namespace helix::arch {

using namespace hosted;

namespace {

constexpr uint64_t kAlternateStackBytes = HELIX_ADDRESS_SANITIZER || HELIX_THREAD_SANITIZER ? 256 << 10 : 64 << 10;
constexpr uint64_t kLargestMemory = 1ull << 40;

uint64_t monotonic_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

/// The first code on the boot stack.
void boot_entry(void* argument) {
    kernel::kernel_main(static_cast<Cpu*>(argument)->port->boot);
}

/// The pthread behind a CPU. It comes back from its second switch when the kernel powered off.
void* cpu_main(void* argument) {
    Cpu& cpu = *static_cast<Cpu*>(argument);
    helix_hosted_cpu = &cpu;
    cpu.early.preempt_word = kNoRescheduleWanted | 1;
    cpu.early.cpu = cpu.index;
    cpu.early.self = &cpu.early;
    set_cpu_local(&cpu.early);
    cpu.local = nullptr;
    sanitizer_adopt(cpu);
    traps_enter(cpu);
    cpu.leave.sanitizer = &cpu.leave_stack;
    context_announce(cpu.boot, cpu.boot_stack);
    context_create(cpu.boot, cpu.boot_stack, boot_entry, &cpu);
    context_switch(cpu.leave, cpu.boot);
    traps_leave(cpu);
    set_cpu_local(&cpu.early);  // the kernel's may be gone
    context_retire(cpu.boot);
    helix_hosted_cpu = nullptr;
    return nullptr;
}

Result<void> make_stacks(Cpu& cpu) {
    cpu.stacks_size = 2 * kPageSize + kAlternateStackBytes + kBootStackBytes;
    void* stacks = mmap(nullptr, cpu.stacks_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stacks == MAP_FAILED) return Error(ErrorCode::OutOfMemory, "the host has no memory for a CPU's stacks");
    cpu.stacks = static_cast<uint8_t*>(stacks);
    cpu.alternate_stack = {cpu.stacks + kPageSize, kAlternateStackBytes};
    cpu.boot_stack = {cpu.stacks + 2 * kPageSize + kAlternateStackBytes, kBootStackBytes};
    for (const MutableBytes& stack : {cpu.alternate_stack, cpu.boot_stack})
        if (mprotect(stack.data(), stack.size(), PROT_READ | PROT_WRITE) != 0)
            return Error(ErrorCode::OutOfMemory, "the host has no memory for a CPU's stacks");
    return {};
}

void destroy(Port* port) {
    for (uint32_t i = 0; i < port->cpu_count; ++i)
        if (port->cpus[i].stacks != nullptr) munmap(port->cpus[i].stacks, port->cpus[i].stacks_size);
    memory_destroy(*port);
    console_close(port->console);
    delete port;
}

Result<void> bring_up(Port& port, const Options& options) {
    TRY(memory_create(port, options.memory_bytes));
    for (uint32_t i = 0; i < port.cpu_count; ++i) {
        Cpu& cpu = port.cpus[i];
        cpu.port = &port;
        cpu.index = i;
        TRY(make_stacks(cpu));
    }
    if (options.replay) replay_start(port.replay, options.seed);
    console_open(port.console, options);
    port.start_ns = monotonic_ns();
    port.signal_frame_bytes = getauxval(AT_MINSIGSTKSZ) + 128;
    port.boot.bundle = options.bundle;
    port.boot.initrd = options.initrd;
    port.boot.command_line = options.command_line;
    port.boot.memory = {&port.memory_range, 1};
    port.boot.region = {word_of(port.region), word_of(port.region) + port.region_bytes};
    port.boot.cpu_count = port.cpu_count;
    port.boot.stack_overhead = kStackOverhead;
    port.boot.entry_cycles = port.replay.on ? 0 : __builtin_ia32_rdtsc();
    // The process's signals are for the caller's threads: the CPU begins with everything blocked.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&port.cpus[0].pthread, nullptr, cpu_main, &port.cpus[0]);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (error != 0) return Error(ErrorCode::OutOfMemory, "the host starts no thread for a CPU");
    return {};
}

}  // namespace

Result<Machine*> Machine::start(const Options& options) {
    if (options.cpu_count == 0 || options.cpu_count > kMaximumCpus)
        return Error(ErrorCode::InvalidArgument, "a machine has 1 to 64 CPUs");
    if (options.cpu_count > 1) return Error(ErrorCode::NotSupported, "the hosted port runs one CPU so far");
    if (options.memory_bytes % kPageSize != 0 || options.memory_bytes < 2 * kPageSize ||
        options.memory_bytes > kLargestMemory)
        return Error(ErrorCode::InvalidArgument, "memory is a number of whole pages up to 1 TiB");
    Port* port = new (std::nothrow) Port;
    Machine* machine = port == nullptr ? nullptr : new (std::nothrow) Machine(*port);
    if (machine == nullptr) {
        delete port;
        return ErrorCode::OutOfMemory;
    }
    port->machine = machine;
    port->cpu_count = options.cpu_count;
    port->exit_process = options.exit_process;
    port->messages = options.messages;
    static const bool installed = (traps_install(), true);
    (void)installed;
    if (auto up = bring_up(*port, options); !up.ok()) {
        destroy(port);
        delete machine;
        return up.error();
    }
    return machine;
}

uint8_t Machine::wait() {
    pthread_join(port_.cpus[0].pthread, nullptr);
    const uint8_t status = port_.status;
    destroy(&port_);
    delete this;
    return status;
}

void Machine::restore_terminal() {
    console_restore(port_.console);
}

void power_off(uint8_t status) {
    preempt_disable();
    const uint64_t all = ~0ull;
    system_call(SYS_rt_sigprocmask, SIG_SETMASK, word_of(&all), 0, sizeof(all));
    Cpu& cpu = *this_cpu();
    Port& port = *cpu.port;
    port.status = status;
    if (port.replay.on) replay_summary(port);
    console_restore(port.console);
    if (port.exit_process) _exit(status);
    if (cpu.timer_armed) timer_delete(cpu.timer);
    ThreadContext abandoned;
    context_switch(abandoned, cpu.leave);
    __builtin_unreachable();
}

void restart() {
    write_all(this_port().messages, "helix-kernel: restart: NotSupported, the process ends instead\n");
    power_off(1);
}

void hosted::fatal(Text reason, uint64_t number) {
    int messages = 2;
    if (Cpu* cpu = this_cpu(); cpu != nullptr) {
        console_restore(cpu->port->console);
        messages = cpu->port->messages;
    }
    write_all(messages, number == 0 ? format("helix-kernel: {}\n", reason).text()
                                    : format("helix-kernel: {}0x{:x}\n", reason, number).text());
    _exit(125);
}

}  // namespace helix::arch

#if HELIX_ADDRESS_SANITIZER
extern "C" HELIX_NO_SANITIZER __attribute__((visibility("default"))) const char* __asan_default_options() {
    return "detect_stack_use_after_return=0:handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0:"
           "allow_user_segv_handler=1:use_sigaltstack=0:detect_leaks=0";
}
#endif
#if HELIX_THREAD_SANITIZER
extern "C" HELIX_NO_SANITIZER __attribute__((visibility("default"))) const char* __tsan_default_options() {
    return "handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0:allow_user_segv_handler=1:"
           "use_sigaltstack=0:report_signal_unsafe=0:detect_deadlocks=0";
}
#endif

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Starting and ending a hosted machine, and what sanitizers are told once.
#include "arch/hosted/machine.hpp"

#include "arch/hosted/port.hpp"
#include "helix/format.hpp"

#include <sched.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>

namespace helix::arch {

using namespace hosted;

namespace {

constexpr uint64_t kAlternateStackBytes = HELIX_ADDRESS_SANITIZER || HELIX_THREAD_SANITIZER ? 256 << 10 : 64 << 10;
constexpr uint64_t kLargestMemory = 1ull << 40;

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
    port.start_ns = host_now_ns();
    port.signal_frame_bytes = getauxval(AT_MINSIGSTKSZ) + 128;
    port.boot.bundle = options.bundle;
    port.boot.initrd = options.initrd;
    port.boot.command_line = options.command_line;
    port.boot.memory = {&port.memory_range, 1};
    port.boot.region = {word_of(port.region), word_of(port.region) + port.region_bytes};
    port.boot.cpu_count = port.cpu_count;
    port.boot.stack_overhead = kStackOverhead;
    port.boot.has_watchdog = false;  // nobody can disable the host's signals but the kernel itself
    port.boot.entry_cycles = port.replay.on ? 0 : __builtin_ia32_rdtsc();
    port.process = static_cast<uint32_t>(getpid());
    constexpr unsigned long kHasGsInstructions = 2;  // HWCAP2_FSGSBASE
    port.has_gs_instructions = (getauxval(AT_HWCAP2) & kHasGsInstructions) != 0;
    cpu_set_t host_cpus;
    CPU_ZERO(&host_cpus);
    port.spins_when_idle = port.cpu_count > 1 && sched_getaffinity(0, sizeof(host_cpus), &host_cpus) == 0 &&
                           static_cast<uint32_t>(CPU_COUNT(&host_cpus)) >= port.cpu_count;
    return cpus_create(port);
}

}  // namespace

Result<Machine*> Machine::start(const Options& options) {
    if (options.cpu_count == 0 || options.cpu_count > kMaximumCpus)
        return Error(ErrorCode::InvalidArgument, "a machine has 1 to 64 CPUs");
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
    cpus_join(port_);
    const uint8_t status = port_.status;
    destroy(&port_);
    delete this;
    return status;
}

void Machine::restore_terminal() {
    console_restore(port_.console);
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
    // No symbols: the process that looks them up does not come up on a CPU's pthread, and takes ours with it. A race
    // ends the run at once: the kernel leaves without the runtime's last words.
    return "halt_on_error=1:symbolize=0:handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0:"
           "allow_user_segv_handler=1:use_sigaltstack=0:report_signal_unsafe=0:detect_deadlocks=0";
}
#endif

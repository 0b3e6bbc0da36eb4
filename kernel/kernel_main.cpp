// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Start-up: memory, threads, modules, shell, in this order.

#include "helix/units.hpp"
#include "kernel/console/shell.hpp"
#include "kernel/kernel.hpp"
#include "kernel/panic.hpp"

#include <new>

namespace helix::kernel {

namespace {

alignas(Kernel) unsigned char kernel_storage[sizeof(Kernel)];

void require(const Result<void>& result, Text what) {
    if (!result.ok()) panic(format("{}: {}", what, result.error().sentence()).text());
}

/// The boot command line goes before the profile. Where neither says anything, what costs time at every switch is left
/// out.
void start_trace(Kernel& kernel) {
    Text wanted = boot_word(kernel.boot.command_line, "trace");
    if (wanted.empty()) wanted = kernel.profile.value("debug.trace_entries");
    uint64_t entries = Trace::kDefaultEntries;
    const bool all = parse_unsigned(wanted, entries);
    if (!kernel.trace.init(entries, all ? TraceScope::All : TraceScope::Changes))
        kernel.log.warning("kernel", "there is not enough memory to trace every CPU");
}

/// A CPU that does not come up is a loss, not an end.
void start_other_cpus(Kernel& kernel) {
    for (CpuId id = 1; id < kernel.threads.cpu_count(); ++id) {
        auto started = kernel.threads.cpus().bring_online(id);
        if (!started.ok()) kernel.log.warning("kernel", "CPU {}: {}", id, started.error().sentence());
    }
    // Whoever is loaded from now on hears of what happens from now on.
    if (kernel.threads.cpu_count() > 1) kernel.modules.settle();
}

/// The first thread: everything that may block.
void main_thread(void* argument) {
    auto& kernel = *static_cast<Kernel*>(argument);
    require(kernel.threads.start_reaper(), "threads");
    require(kernel.modules.init(), "module system");
    require(kernel.modules.boot_modules(), "boot");
    const uint64_t cycles = arch::cycles() - kernel.boot.entry_cycles;
    kernel.log.info("kernel", "profile {} is up after {} cycles", kernel.profile.value("profile.name", "?"), cycles);
    kernel.boot_cycles = cycles;
    start_other_cpus(kernel);
    run_shell(kernel);
}

}  // namespace

void kernel_main(const arch::BootInfo& boot) {
    auto& kernel = *new (kernel_storage) Kernel(boot);
    kernel.threads.adopt_boot_cpu();
    require(kernel.pages.init(boot.memory), "memory");
    require(kernel.region.init(boot.region, kernel.pages), "address space");
    kernel.heap.init(kernel.pages);

    require(Archive::validate(boot.bundle), "bundle");
    require(Archive::validate(boot.initrd), "initrd");
    auto text = Archive(boot.bundle).find("profile");
    if (!text.ok()) panic("the bundle holds no profile");
    auto profile = Profile::parse(text.value());
    if (!profile.ok()) panic(profile.error().sentence());
    kernel.profile = profile.value();
    if (kernel.profile.has("console.log_level"))
        require(kernel.log.set_echo_level(kernel.profile.value("console.log_level")), "console.log_level");
    // Nothing stands between the values that the shell prints; the lines are kept for `log`.
    if (boot_word(boot.command_line, "json") == "1") kernel.log.set_echo_off();

    const uint64_t stack_kb =
        kernel.profile.has("kernel.stack_size_kb") ? kernel.profile.number("kernel.stack_size_kb").value_or(0) : 16;
    if (stack_kb < 16 || stack_kb > 1024) panic("kernel.stack_size_kb is 16 to 1024");
    const uint64_t most = kernel.profile.has("kernel.maximum_cpus")
                              ? kernel.profile.number("kernel.maximum_cpus").value_or(1)
                              : boot.cpu_count;
    const size_t cpus = most < boot.cpu_count ? most : boot.cpu_count;
    require(kernel.threads.init(cpus, stack_kb * 1024 + boot.stack_overhead), "threads");
    if (const auto watchdog_ms = kernel.profile.number("kernel.watchdog_ms"); watchdog_ms.ok())
        kernel.threads.policy().set_patience(static_cast<uint32_t>(watchdog_ms.value()));
    start_trace(kernel);
    auto started = kernel.threads.create("main", main_thread, &kernel, {.kind = ThreadClass::Kernel});
    if (!started.ok()) panic(started.error().sentence());
    kernel.threads.run_idle();
}

void cpu_main(CpuId id) {
    auto& kernel = *reinterpret_cast<Kernel*>(kernel_storage);
    kernel.threads.cpus().adopt(id);
    kernel.threads.run_idle();
}

Result<arch::PhysicalAddress> allocate_frame() {
    const arch::PhysicalAddress frame = TRY(this_kernel().pages.allocate(1));
    __builtin_memset(arch::direct_map(frame), 0, kPageSize);
    return frame;
}

void free_frame(arch::PhysicalAddress frame) {
    this_kernel().pages.free(frame, 1);
}

}  // namespace helix::kernel

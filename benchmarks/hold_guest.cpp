// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The guest of hold_instructions.cpp: the kernel with this in the place of the shell. Holds its CPUs in the three ways
// and prints for how many cycles, which the emulator makes instructions.

#include "benchmarks/holds.hpp"
#include "kernel/console/shell.hpp"

/// In the place of arch::spin_hint, in all of the kernel (see CMakeLists.txt): a CPU that waits gives the emulator's
/// others their turn at once, instead of using up its own with instructions that do nothing.
extern "C" void __wrap__ZN5helix4arch9spin_hintEv() {
    asm volatile("pause" ::: "memory");
}

namespace helix::kernel {

namespace {

constexpr int kHolds = 21;
/// Until all CPUs but this one sleep, without a tick.
constexpr uint64_t kQuietNs = 3'000'000;

void print_holds(Kernel& kernel, Text name, uint64_t (*hold)(Threads&)) {
    FixedText<400> line;
    line.append(name);
    for (int i = 0; i < kHolds; ++i) {
        (void)kernel.threads.sleep(kQuietNs).ok();
        line.append(format(" {}", hold(kernel.threads)).text());
    }
    line.append("\n");
    arch::console_write(line.text());
}

}  // namespace

void run_shell(Kernel& kernel) {
    print_holds(kernel, "locks", benchmark::lock_hold);
    print_holds(kernel, "grace", benchmark::grace_period);
    print_holds(kernel, "rendezvous", benchmark::rendezvous);
    arch::console_write(format("cpus {}\n", __builtin_popcountll(kernel.threads.cpus().online())).text());
    kernel.modules.stop_all();
    arch::power_off(0);
}

}  // namespace helix::kernel

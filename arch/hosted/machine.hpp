// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Machine: one hosted kernel, from its options to its exit status. A process may run several.
#pragma once

#include "helix/result.hpp"

namespace helix::arch::hosted {

struct Options {
    Bytes bundle;       ///< cpio archive with the profile and the static modules; outlives the machine
    Bytes initrd;       ///< cpio archive with the dynamic modules; may be empty
    Text command_line;  ///< words "key=value"
    uint64_t memory_bytes = 256ull << 20;  ///< physical memory; a multiple of the page size
    uint32_t cpu_count = 1;                ///< 1 to 64; more than the host has is allowed
    bool replay = false;  ///< manual clock, preemption and the turns of CPUs at points drawn from `seed`
    uint64_t seed = 0;
    int input = 0;  ///< file descriptors of the console; borrowed
    int output = 1;
    int messages = 2;           ///< where the port itself writes: the summary of a replay, fatal errors
    bool exit_process = false;  ///< powering off ends the process (restoring the terminal), and wait() never returns
};

struct Port;

class Machine {
public:
    /// Reserves memory, makes a pthread for each CPU (in a replay one for all), and lets the boot CPU run
    /// kernel::kernel_main. Signals of the process (SIGTERM and the like) stay with the caller's threads: the CPUs take
    /// only interrupts (SIGRTMIN to SIGRTMIN + 2), faults and SIGPIPE. Errors: InvalidArgument, OutOfMemory.
    static Result<Machine*> start(const Options& options);
    /// Waits until the kernel powers off, gives everything back, `this` included, and returns the exit status.
    uint8_t wait();
    /// Undoes raw mode if the console is a terminal. Any context, also a handler of a fatal signal.
    void restore_terminal();

private:
    explicit Machine(Port& port) : port_(port) {}
    Port& port_;
};

}  // namespace helix::arch::hosted

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The three ways to hold CPUs, each for how many cycles: from the first that is held to the last that is released, of a
// grace period, which holds nobody, from its begin to its end. In threads, preemption on.
#pragma once

#include "kernel/kernel.hpp"

namespace helix::benchmark {

inline uint64_t lock_hold(kernel::Threads& threads) {
    const PreemptionGuard no_preemption;  // so that the end is read before others run again
    const uint64_t begin = arch::cycles();
    threads.lock_all_cpus();
    threads.unlock_all_cpus();
    return arch::cycles() - begin;
}
inline uint64_t rendezvous(kernel::Threads& threads) {
    return threads.cpus().rendezvous([](void*) {}, nullptr);
}
inline uint64_t grace_period(kernel::Threads& threads) {
    const uint64_t begin = arch::cycles();
    threads.cpus().wait_grace_period();
    return arch::cycles() - begin;
}

}  // namespace helix::benchmark

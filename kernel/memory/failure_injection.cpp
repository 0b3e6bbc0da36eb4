// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// FailureInjection: counting down to the attempt that fails.

#include "kernel/memory/failure_injection.hpp"

#ifdef HELIX_FAILURE_INJECTION

#include "kernel/thread/cpu.hpp"

namespace helix::kernel {

const void* FailureInjection::thread_ = nullptr;
Attempt FailureInjection::kind_ = Attempt::Allocation;
uint64_t FailureInjection::left_ = 0;
FailureInjection::Duration FailureInjection::duration_ = Duration::Once;

void FailureInjection::arm(Attempt kind, uint64_t n, Duration duration) {
    kind_ = kind;
    duration_ = duration;
    left_ = n;
    __atomic_store_n(&thread_, current_thread_or_null(), __ATOMIC_RELAXED);
}

bool FailureInjection::disarm() {
    __atomic_store_n(&thread_, nullptr, __ATOMIC_RELAXED);
    return left_ == 0;
}

bool FailureInjection::counts_and_fails(Attempt kind) {
    if (__atomic_load_n(&thread_, __ATOMIC_RELAXED) != current_thread_or_null()) return false;
    if (kind != kind_) return false;
    if (left_ == 0) return duration_ == Duration::FromThenOn;
    return --left_ == 0;
}

}  // namespace helix::kernel

#endif

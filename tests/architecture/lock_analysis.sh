#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# The compiler refuses what is planted here: locks of the kernel taken against the order of their ranks, in whatever
# classes they are, and data touched without their lock. It refuses nothing else.
set -euo pipefail

cat >"$HELIX_TEST_DIRECTORY/planted.cpp" <<'END'
#include "kernel/kernel.hpp"
using namespace helix::kernel;

// Two spin locks of different classes.
void in_order(VirtualRegion& region, PageAllocator& pages) {
    SpinLockGuard outer(region.lock_);
    SpinLockGuard inner(pages.lock_);
}
void inverted(VirtualRegion& region, PageAllocator& pages) {
    SpinLockGuard inner(pages.lock_);
    SpinLockGuard outer(region.lock_);  // expected-warning {{must be acquired before}}
}
// Neighbours in the order, and data inside their lock.
void in_order(Threads& threads, VirtualRegion& region) {
    SpinLockGuard outer(threads.table_lock_);
    const Access tables(region.page_tables());
    tables->unmap(nullptr, 0);
}
void inverted(Threads& threads, VirtualRegion& region) {
    const Access tables(region.page_tables());
    SpinLockGuard outer(threads.table_lock_);  // expected-warning {{must be acquired before}}
}
// Mutexes.
void in_order(ModuleSystem& system, ModuleRecord& record) {
    MutexGuard outer(system.change_);
    MutexGuard middle(record.call_lock);
    MutexGuard inner(system.registry_);
}
void inverted(ModuleSystem& system, ModuleRecord& record) {
    MutexGuard inner(system.registry_);
    MutexGuard middle(record.call_lock);  // expected-warning {{must be acquired before}}
}
// A mutex while a spin lock is held.
void inverted(Ledger& ledger, Cpus& cpus) {
    SpinLockGuard inner(ledger.lock_);
    MutexGuard outer(cpus.change_);  // expected-warning {{must be acquired before}}
}
// A CPU's lock, and what it guards.
void in_order(Cpu& cpu, Heap& heap) {
    const helix::PreemptionGuard no_preemption;
    cpu.lock.acquire();
    cpu.give_way = false;
    {
        SpinLockGuard inner(heap.lock_);
    }
    cpu.lock.release();
}
void inverted(Cpu& cpu, Heap& heap) {
    SpinLockGuard inner(heap.lock_);
    cpu.lock.acquire();  // expected-warning {{must be acquired before}}
    cpu.lock.release();
}

// A lock that the caller holds, which the compiler has seen to be taken further above.
void inverted(Heap& heap, TimerQueue& timers) HELIX_REQUIRES(heap.lock_) {
    SpinLockGuard outer(timers.lock_);  // expected-warning {{must be acquired before}}
}

// Data without their lock.
void touched(PageAllocator& pages, Cpu& cpu, Thread& thread) {
    pages.free_pages_ = 0;           // expected-warning {{writing variable 'free_pages_' requires holding spin lock 'pages.lock_'}}
    cpu.give_way = true;             // expected-warning {{writing variable 'give_way' requires holding}}
    thread.first_contended = nullptr;  // expected-warning {{requires holding inheritance lock 'inheritance_lock'}}
}
void called(ModuleSystem& system, ModuleRecord& record) {
    system.trim_slots(record);  // expected-warning {{requires holding mutex 'system.change_'}}
}
END
clang++-19 -std=c++23 -fsyntax-only -fno-access-control -fno-exceptions -fno-rtti -fno-threadsafe-statics -mno-red-zone \
    -DBOOST_DISABLE_ASSERTS -D_LIBCPP_ENABLE_CXX17_REMOVED_UNARY_BINARY_FUNCTION -I include -I . \
    -Wthread-safety -Wthread-safety-beta -Xclang -verify "$HELIX_TEST_DIRECTORY/planted.cpp"

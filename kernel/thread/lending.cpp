// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Lending: who is inside is seen by the gates of those who do not run; what it does to their priority.

#include "kernel/thread/lending.hpp"

#include "kernel/kernel.hpp"

namespace helix::kernel {

namespace {

/// Whether `thread`, which does not run, has called into `instance`. Its CPU's lock held.
bool has_called_into(const Thread& thread, const Owner& instance) {
    for (const Gate* gate = thread.gate; gate != nullptr; gate = gate->previous())
        if (gate->kind() == GateKind::Module && owner_of(gate->instance) == &instance) return true;
    return false;
}

}  // namespace

void Lending::look() {
    if (inside_ == nullptr) return;
    struct {
        Thread* thread;
        ThreadId id;
    } found[16];  // more are found the next time
    size_t count = 0;
    threads_.for_each_locked([&](Thread& thread) {
        if (count == 16 || thread.kind != ThreadClass::Policy || thread.state == ThreadState::Running) return;
        if (!thread.lent && has_called_into(thread, *inside_)) found[count++] = {&thread, thread.id};
    });
    lent_ |= count != 0;
    while (count-- > 0) threads_.inheritance().lend(*found[count].thread, found[count].id);
}

Lending::~Lending() {
    if (lent_) threads_.take_back_all();
}

void Inheritance::lend(Thread& thread, ThreadId id) {
    SpinLockGuard guard(lock());
    if (!threads_.is_alive(thread, id)) return;
    thread.lent = true;
    adjust(thread);
}

void Inheritance::take_back(Thread& thread) {
    SpinLockGuard guard(lock());
    if (!thread.lent.exchange(false)) return;
    if (threads_.is_alive(thread, thread.id)) adjust(thread);
}

}  // namespace helix::kernel

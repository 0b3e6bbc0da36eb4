// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Inheritance: waiting, handing over, and who runs with which priority meanwhile.

#include "kernel/thread/inheritance.hpp"

#include "kernel/kernel.hpp"
#include "kernel/panic.hpp"

#include <iterator>

namespace helix::kernel {

namespace {

/// Threads of the kernel class go before all others, whatever their number.
uint32_t urgency(const Thread& thread) {
    return thread.kind == ThreadClass::Policy ? thread.priority : kPriorityLevels;
}

Thread* holder(uintptr_t word, uintptr_t contended) {
    return reinterpret_cast<Thread*>(word & ~contended);
}

}  // namespace

bool Mutex::wait(uint64_t deadline_ns, Cancellable cancellable) {
    return this_kernel().threads.inheritance().wait(*this, deadline_ns, cancellable);
}

void Mutex::hand_over() {
    this_kernel().threads.inheritance().hand_over(*this);
}

bool Inheritance::wait(Mutex& mutex, uint64_t deadline_ns, Cancellable cancellable) {
    Thread& self = current_thread();
    const uintptr_t mine = Mutex::word_of(self);
    count_lock(mutex.rank_, LockCount::Contended);
    lock().lock();
    // Either it is free by now, or its holder is told that somebody waits.
    uintptr_t word = mutex.word_.load(std::memory_order_relaxed);
    while ((word & Mutex::kContended) == 0) {
        const uintptr_t wanted = word == 0 ? mine : word | Mutex::kContended;
        if (!mutex.word_.compare_exchange_weak(word, wanted, std::memory_order_acq_rel)) continue;
        if (word == 0) {
            lock().unlock();
            return true;
        }
        word = wanted;
    }
    enter(mutex, self);
    WakeReason reason = WakeReason::None;
    for (; self.waits_for != nullptr && reason == WakeReason::None; lock().lock())
        reason = wait_unlocking(lock(), deadline_ns, cancellable);
    const bool handed_over = self.waits_for == nullptr;
    if (!handed_over) {
        leave(mutex, self);
        count_lock(mutex.rank_, LockCount::Expired);
    }
    lock().unlock();
    return handed_over;
}

void Inheritance::hand_over(Mutex& mutex) {
    Thread& self = current_thread();
    SpinLockGuard guard(lock());
    const uintptr_t word = mutex.word_.load(std::memory_order_relaxed);
    if (holder(word, Mutex::kContended) != &self) panic("a mutex is unlocked by a thread that does not hold it");
    if (mutex.waiters_.empty()) {  // who waited has given up
        mutex.word_.store(0, std::memory_order_release);
        return;
    }
    Thread& next = mutex.waiters_.front();
    leave(mutex, next);
    if (!mutex.waiters_.empty()) {
        // leave() has kept it among the contended mutexes of this thread.
        Mutex** link = &self.first_contended;
        while (*link != &mutex) link = &(*link)->next_contended_;
        *link = mutex.next_contended_;
        mutex.next_contended_ = next.first_contended;
        next.first_contended = &mutex;
    }
    mutex.word_.store(Mutex::word_of(next) | (mutex.waiters_.empty() ? 0 : Mutex::kContended),
                      std::memory_order_release);
    // Who waits on is no more urgent than `next`, which therefore inherits nothing new.
    adjust(self);
    // If its time ran out before, it finds that it holds the mutex.
    threads_.wake(next, WakeReason::Signalled);
}

bool Inheritance::set_base(Thread& thread, ThreadId id, uint32_t priority) {
    SpinLockGuard guard(lock());
    if (!threads_.set_base_priority(thread, id, priority)) return false;
    adjust(thread);
    return true;
}

bool Inheritance::is_consistent(Thread& thread) {
    SpinLockGuard guard(lock());
    if (thread.priority != due(thread)) return false;
    for (Mutex* mutex = thread.first_contended; mutex != nullptr; mutex = mutex->next_contended_) {
        if (mutex->word_.load() != (Mutex::word_of(thread) | Mutex::kContended) || mutex->waiters_.empty())
            return false;
        const Thread* before = nullptr;
        for (const Thread& waiter : mutex->waiters_) {
            if (waiter.waits_for != mutex || (before != nullptr && urgency(*before) < urgency(waiter))) return false;
            before = &waiter;
        }
    }
    return true;
}

void Inheritance::enter(Mutex& mutex, Thread& waiter) {
    Thread& owner = *holder(mutex.word_.load(std::memory_order_acquire), Mutex::kContended);
    if (mutex.waiters_.empty()) {
        mutex.next_contended_ = owner.first_contended;
        owner.first_contended = &mutex;
    }
    auto behind = mutex.waiters_.end();
    while (behind != mutex.waiters_.begin() && urgency(*std::prev(behind)) < urgency(waiter)) --behind;
    mutex.waiters_.insert(behind, waiter);
    waiter.waits_for = &mutex;
    adjust(owner);
}

void Inheritance::leave(Mutex& mutex, Thread& waiter) {
    Thread& owner = *holder(mutex.word_.load(std::memory_order_acquire), Mutex::kContended);
    mutex.waiters_.erase(mutex.waiters_.iterator_to(waiter));
    waiter.waits_for = nullptr;
    if (mutex.waiters_.empty()) {
        Mutex** link = &owner.first_contended;
        while (*link != &mutex) link = &(*link)->next_contended_;
        *link = mutex.next_contended_;
        mutex.next_contended_ = nullptr;
        mutex.word_.store(Mutex::word_of(owner), std::memory_order_relaxed);
    }
    adjust(owner);
}

uint32_t Inheritance::due(const Thread& thread) const {
    uint32_t highest = thread.base_priority;
    if (thread.kind != ThreadClass::Policy) return highest;
    if (thread.lent) return kPriorityLevels - 1;
    for (const Mutex* mutex = thread.first_contended; mutex != nullptr; mutex = mutex->next_contended_) {
        const uint32_t first = urgency(mutex->waiters_.front());
        if (first > highest) highest = first < kPriorityLevels ? first : kPriorityLevels - 1;
    }
    return highest;
}

void Inheritance::adjust(Thread& thread) {
    // It ends also where threads wait for each other in a circle: each step changes something, and levels are few.
    for (Thread* changed = &thread;;) {
        const uint32_t priority = due(*changed);
        if (priority == changed->priority) return;
        Mutex* const mutex = changed->waits_for;
        if (priority > changed->priority && changed->first_contended != nullptr)
            count_lock(changed->first_contended->rank_, LockCount::Inherited);
        threads_.set_effective_priority(*changed, priority);
        if (mutex == nullptr) return;
        // Its place among those who wait with it is another now.
        mutex->waiters_.erase(mutex->waiters_.iterator_to(*changed));
        auto behind = mutex->waiters_.end();
        while (behind != mutex->waiters_.begin() && urgency(*std::prev(behind)) < urgency(*changed)) --behind;
        mutex->waiters_.insert(behind, *changed);
        changed = holder(mutex->word_.load(std::memory_order_acquire), Mutex::kContended);
    }
}

}  // namespace helix::kernel

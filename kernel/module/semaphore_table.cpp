// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// SemaphoreTable: numbers lead to positions; a number is used once.

#include "kernel/module/semaphore_table.hpp"

#include "kernel/kernel.hpp"
#include "kernel/memory/mapped_memory.hpp"

#include <new>

namespace helix::kernel {

namespace {
constexpr size_t kChunkPages = 4;
constexpr uint64_t kLongestPeriodNs = uint64_t{1} << 62;

Error no_such(Text what) {
    return Error(ErrorCode::NotFound, format<30>("no such {}", what).text());
}
}  // namespace

Result<void> SemaphoreTable::init(Memory& memory) {
    memory_ = &memory;
    const size_t pages = (kMaximum * sizeof(Entry) + kPageSize - 1) / kPageSize + kChunkPages;
    entries_ = static_cast<Entry*>(TRY(memory.region.reserve(pages)));
    return {};
}

/// An entry for `owner`: a semaphore without units, not counted yet.
Result<SemaphoreTable::Entry*> SemaphoreTable::add(Instance& owner) {
    Entry* entry = nullptr;
    uint32_t number = 0;
    if (free_ != 0) {
        entry = &entries_[free_ - 1];
        free_ = entry->next_free;
        number = entry->number + kMaximum;
    } else {
        if (used_ == kMaximum) return Error(ErrorCode::OutOfMemory, "too many semaphores and timers");
        if ((used_ + 1) * sizeof(Entry) > mapped_pages_ * kPageSize) {
            TRY(map_at(*memory_, reinterpret_cast<uint8_t*>(entries_) + mapped_pages_ * kPageSize, kChunkPages));
            mapped_pages_ += kChunkPages;
        }
        entry = &entries_[used_];
        number = static_cast<uint32_t>(++used_);
    }
    new (entry) Entry();
    entry->number = number;
    entry->owner = &owner;
    return entry;
}

Result<SemaphoreId> SemaphoreTable::create(Instance& owner, uint32_t initial) {
    SpinLockGuard guard(lock_);
    Entry& entry = *TRY(add(owner));
    new (&entry.semaphore) Semaphore(initial);
    __atomic_fetch_add(&owner.semaphores, 1, __ATOMIC_ACQ_REL);
    return static_cast<SemaphoreId>(entry.number);
}

SemaphoreTable::Entry* SemaphoreTable::find(uint32_t number, Kind kind) {
    const size_t position = (number - 1) % kMaximum;
    if (number == 0 || position >= used_) return nullptr;
    Entry& entry = entries_[position];
    const bool found = entry.number == number && entry.owner != nullptr;
    return found && (entry.signals != nullptr) == (kind == Kind::Timer) ? &entry : nullptr;
}

SemaphoreTable::Entry* SemaphoreTable::find(const Instance& owner, uint32_t number, Kind kind) {
    Entry* const entry = find(number, kind);
    return entry != nullptr && entry->owner == &owner ? entry : nullptr;
}

SemaphoreTable::Entry* SemaphoreTable::acquire(Instance& owner, SemaphoreId id) {
    SpinLockGuard guard(lock_);
    Entry* const entry = find(owner, static_cast<uint32_t>(id), Kind::Semaphore);
    if (entry != nullptr) ++entry->users;
    return entry;
}

void SemaphoreTable::drop(Entry& entry) {
    SpinLockGuard guard(lock_);
    --entry.users;
}

void SemaphoreTable::free_locked(Entry& entry) {
    if (entry.signals != nullptr) {
        this_kernel().threads.timers().remove(entry);
        --entry.signals->users;  // free already, perhaps, where all of a module's are given back
    }
    __atomic_fetch_sub(entry.signals != nullptr ? &entry.owner->timers : &entry.owner->semaphores, 1, __ATOMIC_ACQ_REL);
    entry.owner = nullptr;
    entry.next_free = free_;
    free_ = static_cast<uint32_t>(&entry - entries_) + 1;
}

Result<void> SemaphoreTable::destroy(Instance& owner, SemaphoreId id) {
    SpinLockGuard guard(lock_);
    Entry* const entry = find(owner, static_cast<uint32_t>(id), Kind::Semaphore);
    if (entry == nullptr) return no_such("semaphore");
    if (entry->users != 0) return Error(ErrorCode::Busy, "threads wait on the semaphore, or a timer is to signal it");
    free_locked(*entry);
    return {};
}

Result<void> SemaphoreTable::wait(Instance& owner, SemaphoreId id, uint64_t timeout_ns) {
    Entry* const entry = acquire(owner, id);
    if (entry == nullptr) return no_such("semaphore");
    Result<void> result;
    if (timeout_ns != 0)
        result = entry->semaphore.wait(timeout_ns);
    else if (!entry->semaphore.try_take())
        result = ErrorCode::TimedOut;
    drop(*entry);
    return result;
}

Result<void> SemaphoreTable::signal(Instance& owner, SemaphoreId id) {
    Entry* const entry = acquire(owner, id);
    if (entry == nullptr) return no_such("semaphore");
    entry->semaphore.signal();
    drop(*entry);
    return {};
}

void SemaphoreTable::signal_once(const Instance& owner, SemaphoreId id) {
    SpinLockGuard guard(lock_);
    if (Entry* const entry = find(owner, static_cast<uint32_t>(id), Kind::Semaphore)) entry->semaphore.signal_once();
}

Result<void> SemaphoreTable::check(const Instance& owner, SemaphoreId id) {
    SpinLockGuard guard(lock_);
    return find(owner, static_cast<uint32_t>(id), Kind::Semaphore) != nullptr ? Result<void>() : no_such("semaphore");
}

Result<TimerId> SemaphoreTable::start_timer(Instance& owner, SemaphoreId id, uint64_t first_ns, uint64_t period_ns) {
    if (period_ns != 0 && (period_ns < Context::kShortestPeriodNs || period_ns > kLongestPeriodNs))
        return Error(ErrorCode::OutOfRange, "the period of a timer is 0, or 100 us to 2^62 ns");
    SpinLockGuard guard(lock_);
    Entry* const signals = find(owner, static_cast<uint32_t>(id), Kind::Semaphore);
    if (signals == nullptr) return no_such("semaphore");
    Entry& entry = *TRY(add(owner));
    entry.timer = static_cast<TimerId>(entry.number);
    entry.signals = signals;
    entry.period_ns = period_ns;
    ++signals->users;
    __atomic_fetch_add(&owner.timers, 1, __ATOMIC_ACQ_REL);
    this_kernel().threads.timers().add(entry, deadline_after(first_ns));
    return entry.timer;
}

Result<void> SemaphoreTable::stop_timer(Instance& owner, TimerId id) {
    SpinLockGuard guard(lock_);
    Entry* const entry = find(owner, static_cast<uint32_t>(id), Kind::Timer);
    if (entry == nullptr) return no_such("timer");
    free_locked(*entry);
    return {};
}

void SemaphoreTable::expire(TimerId id, uint64_t now_ns) {
    SpinLockGuard guard(lock_);
    Entry* const entry = find(static_cast<uint32_t>(id), Kind::Timer);
    if (entry == nullptr) return;  // it was stopped in this moment
    entry->signals->semaphore.signal_once();
    if (entry->period_ns == 0) return free_locked(*entry);
    // In step with the first time, whenever this one was seen; those that were missed are none.
    const uint64_t passed = (now_ns - entry->deadline_ns) / entry->period_ns + 1;
    this_kernel().threads.timers().add(*entry, entry->deadline_ns + passed * entry->period_ns);
}

size_t SemaphoreTable::in_use() {
    SpinLockGuard guard(lock_);
    size_t count = 0;
    for (size_t i = 0; i < used_; ++i) count += entries_[i].owner != nullptr;
    return count;
}

void SemaphoreTable::release_all(Instance& owner) {
    if (__atomic_load_n(&owner.semaphores, __ATOMIC_ACQUIRE) == 0) return;  // no timers either: each has a semaphore
    SpinLockGuard guard(lock_);
    for (size_t i = 0; i < used_; ++i)
        if (entries_[i].owner == &owner) free_locked(entries_[i]);
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// SemaphoreTable: numbers lead to positions; a number is used once.

#include "kernel/module/semaphore_table.hpp"

#include "kernel/memory/mapped_memory.hpp"
#include "kernel/module/instance.hpp"

#include <new>

namespace helix::kernel {

namespace {
constexpr size_t kChunkPages = 4;
}

Result<void> SemaphoreTable::init(Memory& memory) {
    memory_ = &memory;
    const size_t pages = (kMaximum * sizeof(Entry) + kPageSize - 1) / kPageSize + kChunkPages;
    entries_ = static_cast<Entry*>(TRY(memory.region.reserve(pages)));
    return {};
}

Result<SemaphoreId> SemaphoreTable::create(Instance& owner, uint32_t initial) {
    SpinLockGuard guard(lock_);
    Entry* entry = nullptr;
    uint32_t number = 0;
    if (free_ != 0) {
        entry = &entries_[free_ - 1];
        free_ = entry->next_free;
        number = static_cast<uint32_t>(entry->id) + kMaximum;
    } else {
        if (used_ == kMaximum) return Error(ErrorCode::OutOfMemory, "too many semaphores");
        if ((used_ + 1) * sizeof(Entry) > mapped_pages_ * kPageSize) {
            TRY(map_at(*memory_, reinterpret_cast<uint8_t*>(entries_) + mapped_pages_ * kPageSize, kChunkPages));
            mapped_pages_ += kChunkPages;
        }
        entry = &entries_[used_];
        number = static_cast<uint32_t>(++used_);
    }
    new (entry) Entry();
    entry->id = static_cast<SemaphoreId>(number);
    entry->owner = &owner;
    new (&entry->semaphore) Semaphore(initial);
    __atomic_fetch_add(&owner.semaphores, 1, __ATOMIC_ACQ_REL);
    return entry->id;
}

SemaphoreTable::Entry* SemaphoreTable::acquire(Instance& owner, SemaphoreId id) {
    const size_t position = (static_cast<uint32_t>(id) - 1) % kMaximum;
    SpinLockGuard guard(lock_);
    if (id == SemaphoreId::None || position >= used_) return nullptr;
    Entry& entry = entries_[position];
    if (entry.id != id || entry.owner != &owner) return nullptr;
    ++entry.users;
    return &entry;
}

void SemaphoreTable::drop(Entry& entry) {
    SpinLockGuard guard(lock_);
    --entry.users;
}

void SemaphoreTable::free_locked(Entry& entry) {
    __atomic_fetch_sub(&entry.owner->semaphores, 1, __ATOMIC_ACQ_REL);
    entry.owner = nullptr;
    entry.next_free = free_;
    free_ = static_cast<uint32_t>(&entry - entries_) + 1;
}

Result<void> SemaphoreTable::destroy(Instance& owner, SemaphoreId id) {
    Entry* const entry = acquire(owner, id);
    if (entry == nullptr) return Error(ErrorCode::NotFound, "no such semaphore");
    SpinLockGuard guard(lock_);
    if (--entry->users != 0) return Error(ErrorCode::Busy, "threads wait on the semaphore");
    free_locked(*entry);
    return {};
}

Result<void> SemaphoreTable::wait(Instance& owner, SemaphoreId id, uint64_t timeout_ns) {
    Entry* const entry = acquire(owner, id);
    if (entry == nullptr) return Error(ErrorCode::NotFound, "no such semaphore");
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
    if (entry == nullptr) return Error(ErrorCode::NotFound, "no such semaphore");
    entry->semaphore.signal();
    drop(*entry);
    return {};
}

size_t SemaphoreTable::in_use() {
    SpinLockGuard guard(lock_);
    size_t count = 0;
    for (size_t i = 0; i < used_; ++i) count += entries_[i].owner != nullptr;
    return count;
}

void SemaphoreTable::release_all(Instance& owner) {
    if (__atomic_load_n(&owner.semaphores, __ATOMIC_ACQUIRE) == 0) return;
    SpinLockGuard guard(lock_);
    for (size_t i = 0; i < used_; ++i)
        if (entries_[i].owner == &owner) free_locked(entries_[i]);
}

}  // namespace helix::kernel

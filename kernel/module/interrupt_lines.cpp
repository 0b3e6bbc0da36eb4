// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// InterruptLines: claims, and telling whoever serves.

#include "kernel/module/interrupt_lines.hpp"

#include "kernel/kernel.hpp"

namespace helix::kernel {

InterruptLines::Holder* InterruptLines::find(const Instance* owner, uint32_t line) {
    if (line >= arch::kMaximumLines) return nullptr;
    for (Holder& holder : lines_[line].holders)
        if (holder.instance == owner) return &holder;
    return nullptr;
}

/// Whoever serves gets a unit, if an interrupt waits.
void InterruptLines::tell(Line& line) {
    if (!line.waits) return;
    for (const Holder& holder : line.holders)
        if (holder.instance != nullptr && holder.instance == __atomic_load_n(&line.record->current, __ATOMIC_ACQUIRE))
            semaphores_.signal_once(*holder.instance, holder.semaphore);
}

void InterruptLines::drop(Holder& holder) {
    __atomic_fetch_sub(&holder.instance->lines, 1, __ATOMIC_ACQ_REL);
    holder = {};
}

void InterruptLines::give_up(uint32_t line) {
    arch::line_disable(line);
    __atomic_fetch_sub(&claimed_, 1, __ATOMIC_RELEASE);
    for (Holder& holder : lines_[line].holders)
        if (holder.instance != nullptr) drop(holder);
    lines_[line] = {};
}

namespace {
[[gnu::noinline]] Error not_held() {
    return Error(ErrorCode::NotFound, "the line is not claimed");
}
}  // namespace

Result<void> InterruptLines::claim(Instance& owner, uint32_t line, SemaphoreId id) {
    TRY(arch::line_check(line));
    SpinLockGuard guard(lock_);
    Line& claimed = lines_[line];
    Holder* const holder = find(nullptr, line);
    const bool is_free = claimed.record == nullptr || claimed.record == &owner.record;
    if (!is_free || holder == nullptr || find(&owner, line) != nullptr)
        return Error(ErrorCode::Busy, format("line {} belongs to {}", line, claimed.record->name()).text());
    TRY(semaphores_.check(owner, id));
    *holder = {&owner, id};
    __atomic_fetch_add(&owner.lines, 1, __ATOMIC_ACQ_REL);
    if (claimed.record == nullptr) {
        claimed.record = &owner.record;
        __atomic_fetch_add(&claimed_, 1, __ATOMIC_RELEASE);
        arch::line_enable(line);
    } else if (__atomic_load_n(&owner.record.current, __ATOMIC_ACQUIRE) == &owner) {
        tell(claimed);  // of what came while nobody held it
    }
    return {};
}

Result<void> InterruptLines::enable(Instance& owner, uint32_t line) {
    SpinLockGuard guard(lock_);
    if (find(&owner, line) == nullptr) return not_held();
    Line& held = lines_[line];
    if (held.waits && __atomic_load_n(&owner.record.current, __ATOMIC_ACQUIRE) == &owner) {
        held.waits = false;
        arch::line_enable(line);
    }
    return {};
}

Result<void> InterruptLines::release(Instance& owner, uint32_t line) {
    SpinLockGuard guard(lock_);
    Holder* const holder = find(&owner, line);
    if (holder == nullptr) return not_held();
    drop(*holder);
    for (const Holder& other : lines_[line].holders)
        if (other.instance != nullptr) return {};
    give_up(line);
    return {};
}

void InterruptLines::release_all(Instance& owner) {
    if (is_idle()) return;
    SpinLockGuard guard(lock_);
    for (Line& line : lines_)
        for (Holder& holder : line.holders)
            if (holder.instance == &owner) drop(holder);
}

void InterruptLines::release_all(const ModuleRecord& record) {
    if (is_idle()) return;
    SpinLockGuard guard(lock_);
    for (uint32_t line = 0; line < arch::kMaximumLines; ++line)
        if (lines_[line].record == &record) give_up(line);
}

void InterruptLines::hand_over(const ModuleRecord& record) {
    if (is_idle()) return;
    SpinLockGuard guard(lock_);
    for (Line& line : lines_)
        if (line.record == &record) tell(line);
}

void InterruptLines::signal(uint32_t lines) {
    SpinLockGuard guard(lock_);
    for (; lines != 0; lines &= lines - 1) {
        Line& line = lines_[__builtin_ctz(lines)];
        if (line.record == nullptr) continue;  // given up in this moment
        line.waits = true;
        tell(line);
    }
}

}  // namespace helix::kernel

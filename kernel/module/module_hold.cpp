// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ModuleHold: closing the ways in, and saying who is still inside.

#include "kernel/module/module_hold.hpp"

#include "helix/format.hpp"
#include "kernel/kernel.hpp"

namespace helix::kernel {

FixedText<150> ModuleHold::describe_caller(Instance& instance) {
    FixedText<150> text;
    uint64_t where = 0;  // where the module called the service in which the thread waits, if it is the innermost
    instance.kernel.threads.for_each_locked([&](Thread& thread) {
        if (!text.empty() || thread.state == ThreadState::Running) return;
        where = 0;
        for (const Gate* gate = thread.gate; gate != nullptr; gate = gate->previous()) {
            if (gate->kind() == GateKind::Kernel) {
                where = gate->resume - 1;
                continue;
            }
            if (gate->instance == token_of(&instance) && gate->kind() != GateKind::Thread) {
                text.append(format<60>("thread {} ({})", static_cast<uint32_t>(thread.id), thread.name.text()).text());
                return;
            }
            where = 0;
        }
    });
    if (text.empty()) text.append("a thread that runs");
    if (instance.mapping == nullptr) return text;
    if (const auto place = instance.mapping->describe(where); !place.empty()) {
        text.append(" in ");
        text.append(place.text());
    }
    return text;
}

// The call lock is held from acquire to release, which the analysis cannot follow.
Result<void> ModuleHold::acquire_until(uint64_t deadline_ns) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    held_ = record_.current;
    held_->begin_restart();
    return wait_until_empty(deadline_ns).ok() ? Result<void>() : give_up();
}

Result<void> ModuleHold::acquire(Slot& slot, uint64_t timeout_ns) {
    closed_[closed_count_++] = &slot;
    slot.close();
    held_ = record_.current;
    held_->begin_restart();
    return slot.wait_empty(timeout_ns).ok() ? Result<void>() : give_up();
}

Result<void> ModuleHold::give_up() {
    const Error error(ErrorCode::TimedOut,
                      format("{} did not leave {}", describe_caller(*held_), record_.name()).text());
    release();
    return error;
}

namespace {
uint64_t time_left(uint64_t deadline_ns) {
    const uint64_t now_ns = arch::now_ns();
    return deadline_ns > now_ns ? deadline_ns - now_ns : 0;
}
}  // namespace

Result<void> ModuleHold::park_threads(uint64_t deadline_ns) {
    Threads& threads = held_->kernel.threads;
    if (threads.park(*held_, deadline_ns).ok()) return {};
    const Thread* const awake = threads.find_awake(*held_);
    if (awake == nullptr) return {};  // just now
    FixedText<150> who;
    who.append(format<60>("thread {} ({})", static_cast<uint32_t>(awake->id), awake->name.text()).text());
    return Error(ErrorCode::TimedOut, format("{} of {} itself came to no wait", who, record_.name()).text());
}

// The lock may or may not be had, which the analysis cannot follow.
Result<void> lock_calls(ModuleRecord& record) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    if (record.call_lock.lock_for(kHoldDeadlineNs)) return {};
    return Error(ErrorCode::TimedOut, format("a call into {} did not end in time", record.name()).text());
}

Result<void> ModuleHold::wait_until_empty(uint64_t deadline_ns) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    // Mostly there is nobody to wait for, and the clock need not be looked at.
    locked_ = record_.call_lock.try_lock() || record_.call_lock.lock_for(time_left(deadline_ns));
    if (!locked_) return ErrorCode::TimedOut;
    for (uint32_t i = 0; i < record_.slot_count; ++i) {
        InterfaceRecord& interface = record_.slots[i]->interface;
        TRY(empty(*record_.slots[i], deadline_ns));
        if (interface.primary_record == &record_) TRY(empty(*interface.primary, deadline_ns));
    }
    return {};
}

Result<void> ModuleHold::empty(Slot& slot, uint64_t deadline_ns) {
    closed_[closed_count_++] = &slot;
    slot.close();
    if (!slot.has_callers()) return {};
    return slot.wait_empty(time_left(deadline_ns));
}

void ModuleHold::release() HELIX_NO_THREAD_SAFETY_ANALYSIS {
    if (held_ != nullptr) {
        held_->end_restart();
        Threads& threads = held_->kernel.threads;
        if (record_.current == held_)
            threads.unpark(*held_);
        else
            threads.park_once(*held_);
    }
    held_ = nullptr;
    while (closed_count_ > 0) closed_[--closed_count_]->open();
    if (locked_) record_.call_lock.unlock();
    locked_ = false;
}

}  // namespace helix::kernel

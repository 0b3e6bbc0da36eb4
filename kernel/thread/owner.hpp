// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Owner: what the thread code knows of a module instance. The module system's Instance begins with one, and the
// InstanceToken that modules and gates carry is its address.
#pragma once

#include "arch/seam.hpp"

#include <atomic>

namespace helix::kernel {

struct Thread;

/// Whether the threads of a module are parked; if a call that the kernel makes into it has to wait they go on, until
/// that wait is over or for good.
enum class Parked : uint32_t { No, Again, Once };

struct Owner {
    /// The instance failed or is being ended by force: calls inside it end, its threads end. Atomic; never cleared.
    uint32_t ended = 0;
    /// Not 0 while a transaction wants to replace it: the number of its hold. A wait in a call from outside ends then,
    /// so that the call returns Restart; one that cannot may wait again. Atomic.
    uint32_t restarting = 0;
    /// Whether its threads are to stay where they wait; Threads::park. Atomic.
    std::atomic<Parked> parks{Parked::No};
    /// Threads that belong to it and were not reaped yet. Atomic.
    uint32_t threads = 0;
    /// CPU time that one call may use, in ticks: calls with preemption off, and all others.
    uint32_t bounded_budget_ticks = 50;
    uint32_t call_budget_ticks = 1000;
    /// Ticks that came while it was the innermost module of whatever ran, its own threads and services that it called
    /// included: its CPU time, sampled. Atomic.
    uint64_t ticks = 0;

    bool is_ended() const { return __atomic_load_n(&ended, __ATOMIC_ACQUIRE) != 0; }
    uint32_t hold_number() const { return __atomic_load_n(&restarting, __ATOMIC_SEQ_CST); }
};

inline Owner* owner_of(InstanceToken* token) {
    return reinterpret_cast<Owner*>(token);
}
inline InstanceToken* token_of(Owner* owner) {
    return reinterpret_cast<InstanceToken*>(owner);
}

constexpr Text describe(FaultKind kind) {
    switch (kind) {
        case FaultKind::PageFault: return "page fault";
        case FaultKind::StackOverflow: return "stack overflow";
        case FaultKind::DivideError: return "divide error";
        case FaultKind::InvalidOpcode: return "invalid instruction";
        case FaultKind::GeneralProtection: return "general protection fault";
        case FaultKind::Breakpoint: return "breakpoint";
        case FaultKind::Other: return "CPU exception";
    }
    return "fault";
}

/// What of a FailureNote the history keeps.
struct FailureCause {
    /// The name of the rule that a policy broke; the supervisor adds fault, budget or abort. Empty: nothing failed.
    Text rule;
    /// Whom the rule was broken for or with; otherwise on which thread it failed.
    ThreadId thread = ThreadId::None;
    FixedText<29> thread_name;
    /// In which it happened, or which gave the wrong answer; the supervisor's to find out. Empty: it is not known.
    FixedText<62> function;
    FixedText<62> source;  ///< "FILE:LINE" of that; the supervisor's too
};

/// Why an instance failed, noted where it happened. Plain data: written in interrupt and fault context.
struct FailureNote {
    FailureNote();  // out of line: it is long

    GateFailure failure = GateFailure::None;
    FaultKind kind = FaultKind::Other;
    uint64_t address = 0;      ///< what was touched, for a fault
    uint64_t instruction = 0;  ///< where, or the last byte of the call that led out; 0 when unknown
    bool is_answer = false;    ///< a method's answer was wrong: `instruction` is where the method begins
    Text rule;                 ///< a rule that was broken, in words; a constant of the kernel; @: `thread`
    FailureCause cause;
    FixedText<100> reason;  ///< what the module said when it aborted
};

/// The rule that a call must leave the preemption count as it was.
inline constexpr Text kPreemptionRule = "it returned with preemption off, or enabled once too often";

/// Notes which thread `note` is about.
void name_thread(FailureNote& note, const Thread& thread);
/// Marks `owner` as ended, keeps the first note and tells the supervisor. Any context, any lock held; does not block.
void module_failed(Owner& owner, const FailureNote& note);
/// The supervisor has failed instances to look after: wakes its thread. Preemption count one, no lock held.
void wake_supervisor();

}  // namespace helix::kernel

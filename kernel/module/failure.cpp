// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Where a CPU exception ends: behind the innermost gate if a module caused it, in a panic otherwise.

#include "kernel/kernel.hpp"
#include "kernel/panic.hpp"

namespace helix::kernel {

void on_fault(TrapFrame& frame, const Fault& fault) {
    const context::Interrupt here;
    Gate* gate = current_gate();
    // Looking at a slot faulted: the handle that leads there is the caller's.
    if (gate != nullptr && is_opening(*gate)) gate = gate->previous();
    if (gate == nullptr || gate->kind() == GateKind::Kernel) {
        panic(format("{} in the kernel: address 0x{:x}, instruction 0x{:x}", describe(fault.kind), fault.address,
                     arch::trap_instruction_pointer(frame))
                  .text(),
              frame);
    }
    if (gate->kind() != GateKind::Copy) {
        FailureNote note;
        note.failure = GateFailure::Fault;
        note.kind = fault.kind;
        note.address = fault.address;
        note.instruction = arch::trap_instruction_pointer(frame);
        module_failed(*owner_of(gate->instance), note);
    }
    leave_gate(*gate);
    arch::trap_resume_at_gate(frame, *gate, GateFailure::Fault);
}

bool end_over_budget(TrapFrame& frame, Gate& gate, const Gate* innermost, uint32_t ticks_over) {
    auto& instance = instance_of(gate.instance);
    // Not out of the kernel's own work on top of the module, such as another interrupt's: that may hold locks.
    const bool in_module = &gate == innermost && preempt_count() == gate.preempt_count() + 1;
    // A tick that comes there, or between module and service, does not show where the module is; one of the next may.
    constexpr uint32_t kLateTicks = 10;
    const uint64_t instruction = arch::trap_instruction_pointer(frame);
    const bool shows = in_module && instance.mapping != nullptr && instance.mapping->contains(instruction);
    if (!shows && &gate == innermost && ticks_over <= kLateTicks) return false;
    FailureNote note;
    note.failure = GateFailure::Budget;
    note.instruction = in_module ? instruction : service_call_in(gate, innermost);
    module_failed(instance, note);
    if (!in_module) return false;
    leave_gate(gate);
    arch::trap_resume_at_gate(frame, gate, GateFailure::Budget);
    return true;
}

uint64_t service_call_in(const Gate& gate, const Gate* innermost) {
    uint64_t where = 0;
    for (; innermost != &gate; innermost = innermost->previous())
        if (innermost->kind() == GateKind::Kernel) where = innermost->resume - 1;
    return where;
}

FailureNote::FailureNote() = default;

void name_thread(FailureNote& note, const Thread& thread) {
    note.cause.thread = thread.id;
    note.cause.thread_name = thread.name;
}

void module_failed(Owner& owner, const FailureNote& note) {
    auto& instance = static_cast<Instance&>(owner);
    if (__atomic_exchange_n(&instance.noted, 1, __ATOMIC_ACQ_REL) != 0) return;
    // From here on a thread of the module that is preempted does not come back to this place, but behind its gate.
    preempt_disable();
    instance.note = note;
    if (note.cause.thread == ThreadId::None) name_thread(instance.note, current_thread());
    instance.failed_cycles = arch::cycles();
    Trace::note(TraceKind::Failure, static_cast<uint8_t>(note.failure), static_cast<uint32_t>(instance.id),
                static_cast<uint32_t>(current_thread().id), note.instruction, instance.name());
    __atomic_store_n(&instance.ended, 1, __ATOMIC_RELEASE);
    instance.record.metrics.count_failure();
    instance.record.close_for_failed(instance);
    instance.kernel.modules.push_failed(instance);
    this_cpu().failure_pending = 1;
    want_reschedule();
    preempt_enable_quietly();
}

GateFailure fail_for_preemption(InstanceToken* instance, uint32_t count) {
    set_preempt_count(count);
    FailureNote note;
    note.failure = GateFailure::Abort;
    note.rule = kPreemptionRule;
    module_failed(*owner_of(instance), note);
    reschedule_if_wanted();
    return GateFailure::Abort;
}

void wake_supervisor() {
    this_kernel().modules.wake_supervisor();
}

}  // namespace helix::kernel

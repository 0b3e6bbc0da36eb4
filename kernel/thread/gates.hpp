// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Gates as the kernel uses them: its calls into modules, and which module the running thread is in.
#pragma once

#include "kernel/thread/cpu.hpp"

namespace helix::kernel {

/// From `gate` outwards, the first with a module behind it, a module's own thread included; null if there is none. Any
/// context.
inline Gate* module_or_thread_gate(Gate* gate) {
    while (gate != nullptr && (gate->kind() == GateKind::Kernel || gate->kind() == GateKind::Copy || is_opening(*gate)))
        gate = gate->previous();
    return gate;
}

/// For ticks: the call behind `gate` used `ticks_over` more than its budget. True if it was ended where the tick,
/// `frame`, interrupted it; otherwise it ends with the service that it is in, or at one of the next ticks.
bool end_over_budget(TrapFrame& frame, Gate& gate, const Gate* innermost, uint32_t ticks_over);

/// Where the module behind `gate` called the service that the thread, whose innermost gate is `innermost`, is in: the
/// last byte of the call; 0 if it is in none. Where the gates stay: any context.
uint64_t service_call_in(const Gate& gate, const Gate* innermost);

/// The preemption count is not what it was before `instance` was called with `count`: that is its failure. Sets the
/// count back.
GateFailure fail_for_preemption(InstanceToken* instance, uint32_t count);

/// gate_call, as the kernel does it: the preemption count afterwards is what it was before.
template <auto Method, typename... Arguments>
inline __attribute__((always_inline)) GateFailure call_module(InstanceToken* instance, const void* object, void* result,
                                                              Arguments&&... arguments) {
    const uint32_t count = preempt_count();
    const GateFailure failure = gate_call<Method>(instance, object, result, static_cast<Arguments&&>(arguments)...);
    if (__builtin_expect(preempt_count() != count, 0)) return fail_for_preemption(instance, count);
    return failure;
}
/// The same for a function that its descriptor names.
template <typename R, GateKind Kind = GateKind::Module, typename... Arguments>
inline GateFailure call_module_function(InstanceToken* instance, const void* function, const void* self, void* result,
                                        Arguments... arguments) {
    const uint32_t count = preempt_count();
    const GateFailure failure = gate_call_function<R, Kind>(instance, function, self, result, arguments...);
    if (__builtin_expect(preempt_count() != count, 0)) return fail_for_preemption(instance, count);
    return failure;
}

}  // namespace helix::kernel

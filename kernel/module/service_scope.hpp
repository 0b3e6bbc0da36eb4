// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ServiceScope: what the kernel does on a thread on top of a module, and how it gets back or ends the module's call.
#pragma once

#include "kernel/module/instance.hpp"

namespace helix::kernel {

/// While it lives the calling thread is inside the kernel, not inside the module.
class ServiceScope {
public:
    /// `caller` is where in the module the service was called, `frame` the frame pointer there, whatever that is.
    explicit ServiceScope(void* caller, const void* frame = nullptr) {
        gate_.resume = reinterpret_cast<uint64_t>(caller);
        gate_.frame_pointer = reinterpret_cast<uint64_t>(frame);
        gate_.previous_and_kind = reinterpret_cast<uint64_t>(current_gate()) | static_cast<uint64_t>(GateKind::Kernel);
        gate_.instance = nullptr;
        set_current_gate(&gate_);
    }
    ~ServiceScope() { set_current_gate(gate_.previous()); }
    ServiceScope(const ServiceScope&) = delete;
    ServiceScope& operator=(const ServiceScope&) = delete;

private:
    Gate gate_;
};

inline bool runs_module(const Gate& gate) {
    return gate.kind() == GateKind::Module || gate.kind() == GateKind::Bounded || gate.kind() == GateKind::Thread;
}

inline void copy_bytes(void* to, const void* from, size_t size) {
    __builtin_memcpy(to, from, size);
}

/// Copies what a module points to; false if it points nowhere.
inline bool copy_in(Instance& instance, void* to, const void* from, size_t size) {
    if (size == 0) return true;
    return gate_call_function<void, GateKind::Copy>(token_of(&instance), reinterpret_cast<void*>(copy_bytes), to,
                                                    nullptr, from, size) == GateFailure::None;
}

/// The module broke `rule`: its call ends when the service is done. In a service, which names where it was called.
void broke_rule(Instance& instance, Text rule);

/// Ends the call behind the module's innermost gate. Nothing of the service is under way.
[[noreturn]] inline void end_call(Gate& gate, GateFailure failure) {
    leave_gate(gate);
    arch::gate_resume(gate, failure);
}

/// Ends the module's call here if its instance was ended meanwhile: the service is done, nothing is held.
inline void return_to_module() {
    Gate* const gate = current_gate();
    if (gate != nullptr && runs_module(*gate) && owner_of(gate->instance)->is_ended())
        end_call(*gate, GateFailure::Killed);
}

}  // namespace helix::kernel

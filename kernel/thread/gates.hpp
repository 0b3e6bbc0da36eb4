// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Which module the running thread is in, by its gates.
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

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The states of a module instance, and the one table of legal transitions between them.
#pragma once

#include "helix/types.hpp"

namespace helix::kernel {

enum class ModuleState : uint8_t { Registered, Loaded, Initialized, Running, Restarting, Stopped, Unloaded, Failed };

inline constexpr size_t kModuleStates = 8;
inline constexpr Text kModuleStateNames[kModuleStates] = {"Registered", "Loaded",  "Initialized", "Running",
                                                          "Restarting", "Stopped", "Unloaded",    "Failed"};
constexpr Text describe(ModuleState state) {
    return kModuleStateNames[static_cast<size_t>(state)];
}

/// Row: from; bit: to. A start that fails undoes init (Initialized to Stopped); what never started is unloaded
/// straight away. A failed instance is only ever unloaded; as long as it is Restarting another is to take its place,
/// and who calls waits for that one.
inline constexpr uint8_t kModuleTransitions[kModuleStates] = {
    /* Registered  */ 1 << static_cast<int>(ModuleState::Loaded) | 1 << static_cast<int>(ModuleState::Failed),
    /* Loaded      */ 1 << static_cast<int>(ModuleState::Initialized) | 1 << static_cast<int>(ModuleState::Unloaded) |
        1 << static_cast<int>(ModuleState::Failed),
    /* Initialized */ 1 << static_cast<int>(ModuleState::Running) | 1 << static_cast<int>(ModuleState::Stopped) |
        1 << static_cast<int>(ModuleState::Unloaded) | 1 << static_cast<int>(ModuleState::Failed),
    /* Running     */ 1 << static_cast<int>(ModuleState::Restarting) | 1 << static_cast<int>(ModuleState::Stopped) |
        1 << static_cast<int>(ModuleState::Failed),
    /* Restarting  */ 1 << static_cast<int>(ModuleState::Unloaded) | 1 << static_cast<int>(ModuleState::Failed),
    /* Stopped     */ 1 << static_cast<int>(ModuleState::Unloaded) | 1 << static_cast<int>(ModuleState::Failed),
    /* Unloaded    */ 0,
    /* Failed      */ 1 << static_cast<int>(ModuleState::Unloaded),
};

constexpr bool may_become(ModuleState from, ModuleState to) {
    return (kModuleTransitions[static_cast<size_t>(from)] >> static_cast<int>(to) & 1) != 0;
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// InterfaceRegistry: who implements what, and which implementor is the primary one.
#pragma once

#include "helix/interfaces/allocator.hpp"
#include "helix/interfaces/scheduler.hpp"
#include "kernel/module/record.hpp"
#include "kernel/module/slot.hpp"

namespace helix::kernel {

/// Whether the kernel itself calls what is primary there; nobody is plugged in without its say.
constexpr bool is_plugged_by_kernel(Text interface) {
    return interface == InterfaceTraits<Scheduler>::kId.name || interface == InterfaceTraits<Allocator>::kId.name;
}

struct InterfaceRecord : boost::intrusive::list_base_hook<> {
    FixedText<46> name;
    uint16_t major = 0;
    uint16_t minor = 0;
    Slot* primary = nullptr;  ///< leads to the same implementation as the primary implementor's own slot
    ModuleRecord* primary_record = nullptr;
    boost::intrusive::list<Slot> implementors;  ///< their own slots, in order of loading
};

/// Guarded by the module system's registry lock throughout.
class InterfaceRegistry {
public:
    /// The record of `name`, made if need be. Errors: OutOfMemory.
    Result<InterfaceRecord*> obtain(Kernel& kernel, Text name, uint16_t major, uint16_t minor);
    InterfaceRecord* find(Text name);
    /// Records nobody implements and nobody is bound to are removed.
    void prune(Kernel& kernel);

    template <typename Visit>
    void get_implementors(Text name, Visit visit) {
        if (InterfaceRecord* const interface = find(name))
            for (Slot& slot : interface->implementors) visit(*slot.record);
    }
    ModuleRecord* get_primary(Text name) {
        InterfaceRecord* const interface = find(name);
        return interface == nullptr ? nullptr : interface->primary_record;
    }
    auto begin() { return records_.begin(); }
    auto end() { return records_.end(); }

private:
    boost::intrusive::list<InterfaceRecord> records_;
};

}  // namespace helix::kernel

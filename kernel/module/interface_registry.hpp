// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// InterfaceRegistry: who implements what, and which implementor is the primary one.
#pragma once

#include "helix/interfaces/allocator.hpp"
#include "helix/interfaces/scheduler.hpp"
#include "kernel/module/name_index.hpp"
#include "kernel/module/record.hpp"
#include "kernel/module/replacement.hpp"
#include "kernel/module/slot.hpp"

namespace helix::kernel {

/// Whether the kernel itself calls what is primary there; nobody is plugged in without its say.
constexpr bool is_plugged_by_kernel(Text interface) {
    return interface == InterfaceTraits<Scheduler>::kId.name || interface == InterfaceTraits<Allocator>::kId.name;
}

/// What `descriptor` says of the interface of that name; null if it does not implement it.
const InterfaceEntry* find_interface(const ModuleDescriptor& descriptor, Text name);

enum class Relation : uint8_t { Implements, Needs };
/// "MODULE implements INTERFACE 1.0, but OTHER needs 1.1". Of `its` only the version counts.
Error versions_differ(const ModuleDescriptor& module, const InterfaceEntry& offered, Text other, Relation relation,
                      const InterfaceEntry& its);

/// Once it is in the registry its name and version stay. It is freed a grace period after it left.
struct InterfaceRecord : boost::intrusive::list_base_hook<> {
    FixedText<46> name;
    uint16_t major = 0;       ///< of all implementors and of all handles; other major versions have other records
    uint16_t minor = 0;       ///< of who brought it
    Slot* primary = nullptr;  ///< leads to the same implementation as the primary implementor's own slot
    /// Who has preemption off may follow it: a record is freed a grace period after it ceased to be the primary one.
    Published<ModuleRecord> primary_record;
    /// Whom the profile or the last swap plugged in; another may serve since that one failed, or nobody.
    ModuleRecord* choice = nullptr;
    /// Who served before, where the kernel itself plugs in: it takes over if the primary one fails.
    ModuleRecord* previous = nullptr;
    boost::intrusive::list<Slot> implementors;  ///< their own slots, in order of publishing
    uint32_t module_slots = 0;                  ///< own slots of modules, published or not

    /// Otherwise nobody sees it: it waits for a transaction's end.
    bool is_known() const {
        return !implementors.empty() || __atomic_load_n(&primary->bindings, __ATOMIC_ACQUIRE) != 0;
    }
};

/// Handles of one instance to one slot.
struct Holding : boost::intrusive::list_base_hook<> {
    Instance& by;
    Slot& slot;
    uint16_t minor = 0;  ///< the highest that a handle was bound with: who serves there has at least this
    uint32_t handles = 0;

    Holding(Instance& holder, Slot& held) : by(holder), slot(held) {}
};

/// Guarded by the module system's registry lock throughout, unless a line says otherwise.
class InterfaceRegistry {
public:
    /// The record of the interface, made if need be. Errors: OutOfMemory.
    Result<InterfaceRecord*> obtain(Kernel& kernel, const InterfaceEntry& entry);
    /// The one that everybody sees: of several major versions that which somebody implements, else one that is known.
    InterfaceRecord* find(Text name);
    InterfaceRecord* find(Text name, uint16_t major);
    /// Whether `module` can be there beside all others, or will be when `changing` (null: nothing) is done: an
    /// interface has one major version at a time. Errors: Incompatible.
    Result<void> check_majors(const ModuleDescriptor& module, const Replacements* changing) const;
    /// Whether `module` can serve all handles that lead to `slot`. Errors: Incompatible.
    Result<void> check_holders(const Slot& slot, const ModuleDescriptor& module) const;
    /// Counts a handle of `by` that needs at least `minor`. Errors: OutOfMemory.
    Result<void> hold(Kernel& kernel, Instance& by, Slot& slot, uint16_t minor);
    /// Whether a handle of `by` leads to `slot`, which need not be one.
    bool holds(const Instance& by, const SlotHead* slot) { return find_holding(by, slot) != nullptr; }
    /// False if `by` has no handle there.
    bool let_go(Kernel& kernel, const Instance& by, const SlotHead* slot);
    /// Of an instance whose memory goes, and its handles with it.
    void let_go_all(Kernel& kernel, Instance& by);
    template <typename Visit>
    void for_each_holding(Visit visit) const {
        for (const Holding& holding : holdings_) visit(holding.by, holding.slot);
    }
    /// Records for which no module has a slot, and to which nobody is bound, are removed.
    void prune(Kernel& kernel);

    template <typename Visit>
    void get_implementors(Text name, Visit visit) {
        if (InterfaceRecord* const interface = find(name))
            for (Slot& slot : interface->implementors) visit(*slot.record);
    }
    /// Who serves there; null if nobody does. Without the lock too, if preemption is off until nothing is done any more
    /// with the record; its name does not change. (name_index.hpp says why.)
    ModuleRecord* get_primary(Text name) const HELIX_ANY_CONTEXT {
        ModuleRecord* primary = nullptr;
        // Of several major versions one has implementors, and where they change both have the same primary one.
        index_.look(name, [&](const InterfaceRecord& interface) {
            primary = interface.primary_record;
            return primary != nullptr;
        });
        return primary;
    }
    auto begin() { return records_.begin(); }
    auto end() { return records_.end(); }

private:
    Holding* find_holding(const Instance& by, const SlotHead* slot);
    void let_go(Kernel& kernel, Holding& holding, uint32_t handles);

    boost::intrusive::list<InterfaceRecord> records_;
    NameIndex<InterfaceRecord> index_;  // of the same
    boost::intrusive::list<Holding> holdings_;
};

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Departure: who has to go if a module goes, why, and in which order.
#pragma once

#include "kernel/module/module_system.hpp"
#include "kernel/module/resolver.hpp"

namespace helix::kernel {

/// At first the module alone. One that runs, or is to run again, depends on another if that one alone meets what it
/// needs, or if it has a handle that leads to that very module. A handle to whoever is the primary implementor is no
/// reason to go: it leads to the next one, or to nobody. Valid while the change lock is held, on the kernel's heap.
class ModuleSystem::Departure {
public:
    /// Errors: OutOfMemory.
    static Result<Departure> create(ModuleSystem& system, ModuleRecord& record);
    Departure(Departure&& other);
    Departure(const Departure&) = delete;
    Departure& operator=(const Departure&) = delete;
    ~Departure();

    /// Errors: Busy, naming those who depend on it.
    Result<void> check_alone();
    /// Adds all who depend on it, or on one of those. Errors: that of the first who may not be unloaded, with the chain
    /// that leads to it.
    Result<void> add_dependents();
    /// Dependents before those on whom they depend; in a circle, whoever was started last comes first.
    Span<ModuleRecord* const> in_order();

private:
    struct Entry {
        ModuleRecord* record;
        ModuleRecord* because;  ///< that goes as well, and on which it depends; null: nobody asked for a reason
        bool by_handle;
        uint16_t started;  ///< the order of start
    };

    Departure(ModuleSystem& system, size_t capacity, void* memory);
    void add(ModuleRecord& record);
    void exchange(size_t i, size_t k);
    bool depends(size_t i);
    bool has_handle(const ModuleRecord& holder, const ModuleRecord& held);
    Error explain(size_t i, const Error& error) const;

    ModuleSystem& system_;
    ResolverNode* nodes_;  // first those that stay, then those that go, the one that was asked for at the end
    Entry* entries_;       // of each node
    ModuleRecord** order_;
    size_t count_ = 0;
    size_t stay_ = 0;
    size_t providers_ = 0;  // so many of the nodes serve others, or will: not one that has failed for good
};

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Swapping the allocator: new blocks come from the new policy; what the old one handed out finds its way back to it.

#include "kernel/kernel.hpp"
#include "kernel/module/module_system.hpp"

namespace helix::kernel {

Result<void> ModuleSystem::plug_in_allocator(ModuleRecord& record, HistoryRecord& entry) {
    Instance& instance = *record.current;
    InterfaceRecord& interface = *interfaces_.find(InterfaceTraits<Allocator>::kId.name);
    const uint64_t began_ns = arch::now_ns();
    if (entry.time_ns == 0) entry.time_ns = began_ns;
    entry.interface = interface.name;
    entry.phase = Phase::Verify;
    const bool healthy = TRY(instance.call<&Module::is_healthy>());
    if (!healthy) return Error(ErrorCode::InvalidState, "the new allocator says that it is not healthy");
    entry.prepare_ns = arch::now_ns() - began_ns;

    const uint64_t held_ns = arch::now_ns();
    const uint64_t held_cycles = arch::cycles();
    kernel_.heap.make_current(instance.heap_owner);
    entry.pause_cycles = arch::cycles() - held_cycles;
    entry.pause_ns = arch::now_ns() - held_ns;
    // Blocks of the old policy that lie in the magazines of other CPUs go back to it now, not when these allocate next.
    kernel_.threads.cpus().run_on_each([](void* heap) { static_cast<Heap*>(heap)->flush_this_cpu(); }, &kernel_.heap);
    {
        MutexGuard guard(registry_);
        interface.primary_record = &record;
        interface.primary->fill(target_of(instance, interface.name.text()));
    }
    entry.result = TransactionResult::Committed;
    entry.phase = Phase::Serving;
    return {};
}

}  // namespace helix::kernel

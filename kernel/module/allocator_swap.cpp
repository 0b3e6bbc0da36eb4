// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Swapping the allocator: new blocks come from the new policy; what the old one handed out finds its way back to it.

#include "kernel/kernel.hpp"
#include "kernel/module/module_system.hpp"

namespace helix::kernel {

Result<void> ModuleSystem::plug_in_allocator(ModuleRecord& record, PhaseClock& clock) {
    clock.entry().interface = FixedText<46>(InterfaceTraits<Allocator>::kId.name);
    TRY(check_health(*record.current));
    let_allocator_rule(record, clock);
    return {};
}

/// The part that cannot fail.
void ModuleSystem::let_allocator_rule(ModuleRecord& record, PhaseClock& clock) {
    Instance& instance = *record.current;
    HistoryRecord& entry = clock.entry();
    clock.enter(Phase::Commit);
    kernel_.heap.make_current(instance.heap_owner);
    clock.stop();
    // Blocks of the old policy that lie in the magazines of other CPUs go back to it now, not when these allocate next.
    kernel_.threads.cpus().run_on_each([](void* heap) { static_cast<Heap*>(heap)->flush_this_cpu(); }, &kernel_.heap);
    {
        MutexGuard guard(registry_);
        InterfaceRecord& interface = *interfaces_.find(InterfaceTraits<Allocator>::kId.name);
        interface.primary_record = &record;
        interface.primary->fill(target_of(instance, interface.name.text()));
    }
    entry.result = TransactionResult::Committed;
    entry.phase = Phase::Serving;
}

}  // namespace helix::kernel

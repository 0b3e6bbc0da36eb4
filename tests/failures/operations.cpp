// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The operations, and the looks at a kernel. All of it runs on a thread of the kernel: no libc.

#include "operations.hpp"

namespace helix::test {

using kernel::Kernel;

namespace {

constexpr Text kScheduler = "helix.scheduler";
constexpr Text kAllocator = "helix.allocator";

/// Without the number of its record.
Result<void> done(const Result<uint64_t>& transaction) {
    TRY(transaction);
    return {};
}

Text primary_of(Kernel& kernel, Text interface, FixedText<46>& name) {
    name = kernel.modules.get_primary(interface).value_or(FixedText<46>());
    return name.text();
}

Result<void> swap_back(Kernel& kernel, Text interface, Text name) {
    FixedText<46> now;
    if (primary_of(kernel, interface, now) == name) return {};
    return done(kernel.modules.swap(interface, name));
}

Result<void> unload_if_loaded(Kernel& kernel, Text name) {
    bool loaded = false;
    kernel.modules.for_each([&](kernel::ModuleRecord& record) { loaded |= record.name() == name; });
    if (!loaded) return {};
    return kernel.modules.unload(name);
}

Result<void> nothing(Kernel&) {
    return {};
}
Result<void> load_1(Kernel& kernel) {
    return kernel.modules.load("holder-1");
}
Result<void> load_2(Kernel& kernel) {
    return kernel.modules.load("holder-2");
}
Result<void> reload_to_1(Kernel& kernel) {
    return done(kernel.modules.reload("holder", "holder-1"));
}
Result<void> reload_to_2(Kernel& kernel) {
    return done(kernel.modules.reload("holder", "holder-2"));
}
Result<void> swap_file(Kernel& kernel) {
    return done(kernel.modules.swap("test.greeter", "holder-1"));
}
Result<void> swap_loaded(Kernel& kernel) {
    return done(kernel.modules.swap("test.greeter", "holder"));
}
Result<void> load_and_swap(Kernel& kernel) {
    TRY(load_1(kernel));
    return swap_loaded(kernel);
}
Result<void> swap_to_english(Kernel& kernel) {
    return done(kernel.modules.swap("test.greeter", "greeter-english"));
}
Result<void> load_phoenix(Kernel& kernel) {
    return kernel.modules.load("phoenix");
}
Result<void> swap_with_state(Kernel& kernel) {
    return done(kernel.modules.swap("test.phoenix", "phoenix-next"));
}
Result<void> load_and_reload(Kernel& kernel) {
    TRY(load_1(kernel));
    return reload_to_2(kernel);
}
Result<void> load_and_crash(Kernel& kernel) {
    TRY(load_1(kernel));
    return kernel.modules.request(nullptr, "holder", "crash", {}).ok() ? Result<void>(ErrorCode::InvalidState)
                                                                       : Result<void>();
}
Result<void> load_pair(Kernel& kernel) {
    TRY(kernel.modules.load("pair-provider-1"));
    return kernel.modules.load("pair-user-1");
}
Result<void> reload_pair(Kernel& kernel) {
    const kernel::Wanted wanted[] = {{"pair-user", "pair-user-2"}, {"pair-provider", "pair-provider-2"}};
    return done(kernel.modules.reload(wanted));
}
Result<void> unload(Kernel& kernel) {
    return kernel.modules.unload("holder");
}
Result<void> load_chain(Kernel& kernel) {
    TRY(kernel.modules.load("link-a"));
    TRY(kernel.modules.load("link-b"));
    return kernel.modules.load("link-c");
}
Result<void> unload_chain(Kernel& kernel) {
    return kernel.modules.unload("link-a", kernel::Dependents::Unload);
}
Result<void> swap_scheduler(Kernel& kernel) {
    return done(kernel.modules.swap(kScheduler, "helix-scheduler-priority"));
}
Result<void> swap_scheduler_back(Kernel& kernel) {
    return done(kernel.modules.swap(kScheduler, "helix-scheduler-round-robin"));
}
Result<void> reload_scheduler(Kernel& kernel) {
    return done(kernel.modules.reload("helix-scheduler-round-robin"));
}
Result<void> shadow_scheduler(Kernel& kernel, Text name) {
    static kernel::ShadowReport report;
    return kernel.modules.shadow(kScheduler, name, 5'000'000, report);
}
Result<void> shadow_another(Kernel& kernel) {
    return shadow_scheduler(kernel, "helix-scheduler-priority");
}
Result<void> shadow_the_same(Kernel& kernel) {
    return shadow_scheduler(kernel, "helix-scheduler-round-robin");
}
Result<void> swap_allocator(Kernel& kernel) {
    return done(kernel.modules.swap(kAllocator, "helix-allocator-bump"));
}

Result<void> load_laggard(Kernel& kernel) {
    return kernel.modules.load("laggard");
}
/// It takes its time with it, so that another thread leads, and a third one stands by.
Result<void> send_to_laggard(Kernel& kernel) {
    TRY(kernel.modules.emit(Event::make_custom("note", as_bytes(Text("at 0")))));
    TRY(kernel.modules.emit(Event::make_custom("note", {})));
    return kernel.modules.drain_events();
}

constexpr Operation kOperations[] = {
    {"load", "holder", nothing, load_1},
    {"load with two interfaces", "holder", nothing, load_2},
    {"reload that adds an interface", "holder", load_1, reload_to_2},
    {"reload that takes one away", "holder", load_2, reload_to_1},
    {"reload on probation", "holder", load_and_reload, reload_to_1},
    {"reload of a failed module", "holder", load_and_crash, reload_to_2},
    {"reload of two to another major", "pair-", load_pair, reload_pair},
    {"swap to a file", "holder", nothing, swap_file},
    {"swap to a module", "holder", load_1, swap_loaded},
    {"swap on probation", "greeter-english", load_and_swap, swap_to_english},
    {"swap that passes state", "phoenix", load_phoenix, swap_with_state},
    {"unload", "holder", load_2, unload},
    {"unload after a swap", "holder", load_and_swap, unload},
    {"unload on probation", "holder", load_and_reload, unload},
    {"unload of a failed module", "holder", load_and_crash, unload},
    {"unload with dependents", "link-a", load_chain, unload_chain},
    {"swap of the scheduler", "helix-scheduler-priority", nothing, swap_scheduler},
    {"swap of the scheduler back", "helix-scheduler-round-robin", swap_scheduler, swap_scheduler_back},
    {"reload of the scheduler", "helix-scheduler-round-robin", nothing, reload_scheduler, reload_scheduler},
    {"trial of a scheduler", "helix-scheduler-priority", nothing, shadow_another},
    {"trial of the ruling scheduler", "helix-scheduler-round-robin", nothing, shadow_the_same},
    {"swap of the allocator", "helix-allocator-bump", nothing, swap_allocator},
    {"events to a slow module", "", load_laggard, send_to_laggard},
};

}  // namespace

Span<const Operation> all_operations() {
    return kOperations;
}

Result<void> prepare_kernel(Kernel& kernel) {
    kernel.log.set_echo_off();
    TRY(kernel.modules.load("greeter-english"));
    return kernel.modules.load("greeter-caller");
}

Result<void> clean_up(Kernel& kernel) {
    TRY(swap_back(kernel, kScheduler, "helix-scheduler-round-robin"));
    TRY(swap_back(kernel, kAllocator, "helix-allocator-slab"));
    TRY(swap_back(kernel, "test.greeter", "greeter-english"));
    (void)look_for_held(kernel);  // a policy that stands by cannot be unloaded
    TRY(unload_if_loaded(kernel, "holder"));
    for (const Text name : {Text("link-c"), Text("link-b"), Text("link-a"), Text("pair-user"), Text("pair-provider"),
                            Text("phoenix-next"), Text("phoenix"), Text("laggard")})
        TRY(unload_if_loaded(kernel, name));
    return unload_if_loaded(kernel, "helix-scheduler-priority");
}

Held look_for_held(Kernel& kernel) {
    constexpr uint64_t kLongerThanProbations = 3'000'000'000;
    kernel.modules.settle();
    (void)kernel.threads.sleep(kLongerThanProbations).ok();
    kernel.modules.settle();

    Held held;
    const MemoryStatistics memory = kernel.heap.statistics();
    held.heap_bytes = memory.heap_bytes_used;
    held.pages = memory.pages_total - memory.pages_free - memory.heap_pages;
    held.addresses = kernel.region.reserved_pages();
    kernel::ThreadSnapshot chunk[8];
    size_t position = 0;
    while (const size_t count = kernel.threads.snapshot(position, Span<kernel::ThreadSnapshot>(chunk, 8)))
        held.threads += count;
    held.semaphores = kernel.modules.semaphores().in_use();
    held.counters = kernel.threads.cpus().areas().counters_in_use();
    kernel.modules.for_each([&](kernel::ModuleRecord& record) {
        held.slots += record.slot_count;
        if (record.current != nullptr) held.handles += record.current->totals().handles;
    });
    held.interfaces = kernel.modules.count_interfaces();
    for (size_t i = 1; i < kernel::Heap::kMaximumOwners; ++i)
        held.owners +=
            kernel.heap.owner_statistics(static_cast<uint8_t>(i)).state != kernel::HeapOwnerStatistics::State::Vacant;
    return held;
}

FixedText<400> describe(const Held& held) {
    return format<400>(
        "{} bytes of the heap, {} pages, {} of addresses, {} threads, {} semaphores, {} counters, {} slots, "
        "{} handles, {} interfaces, {} allocators",
        held.heap_bytes, held.pages, held.addresses, held.threads, held.semaphores, held.counters, held.slots,
        held.handles, held.interfaces, held.owners);
}

void look_at_modules(Kernel& kernel, Instances instances, Look& text) {
    text = {};
    kernel.modules.for_each([&](kernel::ModuleRecord& record) {
        if (record.current == nullptr) return;
        text.append(format<120>("{} {} {} in {} ", record.name(), record.current->info().version().major,
                                kernel::describe(record.state()), record.file)
                        .text());
        if (instances == Instances::Same)
            text.append(format<60>("as {}, {}, {} slots ", static_cast<uint32_t>(record.current->id), record.generation,
                                   record.slot_count)
                            .text());
        const kernel::LedgerTotals owned = record.current->totals();
        text.append(format<80>("with {} {} {} {} {} {}; ", owned.blocks, owned.threads, owned.semaphores, owned.handles,
                               owned.subscriptions, owned.timers)
                        .text());
    });
    kernel.modules.for_each_interface([&](kernel::InterfaceRecord& interface) {
        const bool led = interface.primary_record == nullptr ||
                         (interface.primary->target != nullptr && interface.primary->closed == 0);
        text.append(
            format<120>("{}{} of", interface.name, led ? Text() : Text(" (its primary slot is empty or closed)"))
                .text());
        for (const kernel::Slot& slot : interface.implementors)
            text.append(format<80>(" {}{}{}", slot.record->name(),
                                   slot.record == interface.primary_record ? Text("*") : Text(),
                                   slot.target != nullptr && slot.closed == 0 ? Text() : Text(" (empty or closed)"))
                            .text());
        text.append("; ");
    });
    const auto* const ruling = static_cast<kernel::Instance*>(kernel.threads.policy().ruling_instance());
    text.append(format<80>("{} rules", ruling == nullptr ? Text("nobody") : ruling->name()).text());
}

}  // namespace helix::test

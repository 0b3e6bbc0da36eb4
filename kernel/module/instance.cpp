// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Instance: construction, destruction and what it says when it failed.

#include "kernel/module/instance.hpp"

#include "kernel/kernel.hpp"
#include "kernel/memory/make.hpp"
#include "kernel/module/function_name.hpp"
#include "kernel/module/tap.hpp"
#include "kernel/panic.hpp"

namespace helix::kernel {

extern const Services kServices;

Instance::Instance(Kernel& of, ModuleRecord& in, Image& from, InstanceId number)
    : kernel(of), record(in), id(number), image(&from), context(&kServices, token_of(this), number), ledger(of.heap) {}

Text Instance::name() const {
    return record.name();
}

Result<Instance*> Instance::create(Kernel& kernel, ModuleRecord& record, Image& image) {
    Instance* const instance = make<Instance>(kernel.heap, kernel, record, image, kernel.modules.next_instance_id());
    if (instance == nullptr) return ErrorCode::OutOfMemory;
    const uint64_t budget_ticks = record.supervision.call_budget_ns / Threads::kTickNs;
    constexpr uint32_t kMaximumBudget = Gate::kTicksMask / 2;  // of days; a gate goes on counting for a while
    instance->call_budget_ticks = budget_ticks < kMaximumBudget ? static_cast<uint32_t>(budget_ticks) : kMaximumBudget;
    image.retain();
    auto mapping = Mapping::create(kernel.memory, image);
    if (!mapping.ok()) {
        destroy(instance);
        return mapping.error();
    }
    instance->mapping = mapping.value();
    instance->descriptor = &image.descriptor();

    const ModuleDescriptor& mapped = mapping.value()->descriptor();
    Module* module = nullptr;
    const GateFailure failure = call_module_function<Module*>(
        token_of(instance), reinterpret_cast<void*>(mapped.create), &kServices, &module, token_of(instance));
    if (failure != GateFailure::None || module == nullptr) {
        const Error error = instance->failed_error();
        destroy(instance);
        return error;
    }
    instance->module = module;
    const Span<const InterfaceEntry> interfaces = mapped.interfaces();
    for (size_t i = 0; i < interfaces.size() && i < ModuleRecord::kMaximumInterfaces; ++i) {
        void* implementation = nullptr;
        const GateFailure failed = call_module_function<void*>(
            token_of(instance), reinterpret_cast<void*>(interfaces[i].cast), module, &implementation);
        if (failed != GateFailure::None || implementation == nullptr) {
            const Error error = instance->failed_error();
            destroy(instance);
            return error;
        }
        instance->targets[i] = {implementation, token_of(instance)};
        if (interfaces[i].name == InterfaceTraits<Scheduler>::kId.name)
            instance->bounded_budget_ticks = kernel.threads.policy().call_budget();
    }
    instance->become(ModuleState::Loaded);
    return instance;
}

void Instance::give_back() {
    // Nobody is inside any more. An instance that did not fail may run once again, to be destroyed.
    if (mapping != nullptr && module != nullptr && __atomic_load_n(&noted, __ATOMIC_ACQUIRE) == 0) {
        __atomic_store_n(&ended, 0, __ATOMIC_RELEASE);
        const auto destructor = reinterpret_cast<void*>(mapping->descriptor().destroy);
        const GateFailure failed = call_module_function<void>(token_of(this), destructor, module, nullptr);
        if (failed != GateFailure::None) kernel.log.error("supervisor", "{} failed in its destructor", name());
        __atomic_store_n(&ended, 1, __ATOMIC_RELEASE);
    }
    module = nullptr;
    if (heap_owner != 0 && !kernel.heap.try_detach(heap_owner)) kernel.heap.abandon(heap_owner);
    heap_owner = 0;
    kernel.modules.pending_requests().release_all(*this);
    kernel.modules.lines().release_all(*this);  // they signal semaphores
    kernel.modules.semaphores().release_all(*this);
    kernel.modules.release_handles_of(*this);
    ledger.release_all();
    record.metrics.add_ticks(__atomic_exchange_n(&ticks, 0, __ATOMIC_RELAXED));
    // What it subscribed to is remembered: until it is back its place misses such events, and they are counted.
    if (mapping != nullptr) {
        failure_text = note.failure != GateFailure::None ? describe_failure(note, *this) : FixedText<186>();
        Mapping::destroy(mapping);
        mapping = nullptr;
    }
}

void Instance::destroy(Instance* instance) {
    instance->give_back();
    instance->kernel.modules.forget_failed(*instance);
    Tap::leave(instance->tap);
    instance->image->release();
    unmake(instance->kernel.heap, instance);
}

void Instance::begin_restart() {
    __atomic_store_n(&restarting, kernel.modules.next_hold_number(), __ATOMIC_SEQ_CST);
    kernel.threads.end_waits_in(*this);
}

void note_call(TraceKind kind, TraceCall how, const Instance& instance, Text type) {
    if (!Trace::notes_all()) return;
    FixedText<TraceRing::kMaximumText> what;
    if (how == TraceCall::Begin) what.append(instance.name());
    if (!type.empty()) what.append(' ');
    what.append(type);
    Trace::note(kind, static_cast<uint8_t>(how), static_cast<uint32_t>(instance.id),
                static_cast<uint32_t>(current_thread().id), 0, what.text());
}

void Instance::become(ModuleState next) {
    HELIX_ASSERT(may_become(state, next));
    state = next;
    Trace::note(TraceKind::Module, static_cast<uint8_t>(next), static_cast<uint32_t>(id), 0, 0, name());
}

bool Instance::hears(const Event& event) const {
    if (event.kind != EventKind::Custom) return (event_kinds >> static_cast<uint32_t>(event.kind) & 1) != 0;
    for (uint32_t i = 0; i < event_name_count; ++i)
        if (event_names[i] == event.custom.name) return true;
    return false;
}

LedgerTotals Instance::totals() {
    LedgerTotals totals;
    totals.blocks = ledger.blocks();
    totals.bytes = ledger.bytes();
    totals.threads = __atomic_load_n(&threads, __ATOMIC_ACQUIRE);
    totals.semaphores = __atomic_load_n(&semaphores, __ATOMIC_ACQUIRE);
    totals.handles = __atomic_load_n(&handles, __ATOMIC_ACQUIRE);
    totals.requests = __atomic_load_n(&requests, __ATOMIC_ACQUIRE);
    totals.lines = __atomic_load_n(&lines, __ATOMIC_ACQUIRE);
    totals.timers = __atomic_load_n(&timers, __ATOMIC_ACQUIRE);
    if (mapping != nullptr)
        totals.subscriptions = event_name_count + static_cast<uint32_t>(__builtin_popcount(event_kinds));
    return totals;
}

FixedText<62> describe_thread(const FailureNote& note) {
    if (note.cause.thread == ThreadId::None) return FixedText<62>("an idle CPU");
    return format<62>("thread {} ({})", static_cast<uint64_t>(note.cause.thread), note.cause.thread_name);
}

namespace {
FixedText<62> source_line_of(const FailureNote& note, const Mapping& mapping) {
    return note.is_answer ? mapping.source_line_of_method(note.instruction) : mapping.source_line(note.instruction);
}
}  // namespace

void Instance::complete_cause() {
    constexpr Text kNames[] = {"", "fault", "budget", "abort"};
    if (note.cause.rule.empty()) note.cause.rule = kNames[static_cast<size_t>(note.failure) & 3];
    if (mapping == nullptr) return;
    uint64_t offset = 0;
    note.cause.function.assign(function_name(mapping->symbol_for(note.instruction, offset)).text());
    note.cause.source = source_line_of(note, *mapping);
}

FixedText<186> describe_failure(const FailureNote& note, Instance& instance) {
    if (!instance.failure_text.empty()) return instance.failure_text;
    FixedText<186> text(instance.name());
    if (note.failure == GateFailure::None) {
        text.append(" could not be constructed");
        return text;
    }
    text.append(" failed: ");
    if (!note.rule.empty()) {
        const size_t place = note.rule.find('@');
        text.append(note.rule.substr(0, place));
        if (place != SIZE_MAX) {
            text.append(describe_thread(note).text());
            text.append(note.rule.substr(place + 1));
        }
    } else if (note.failure == GateFailure::Budget) {
        text.append("its call ran over its budget of CPU time");
    } else if (note.failure == GateFailure::Abort) {
        text.append(note.reason.empty() ? Text("it aborted") : note.reason.text());
    } else {
        text.append(describe(note.kind));
        if (note.kind == FaultKind::PageFault) text.append(format(" at address 0x{:x}", note.address).text());
    }
    if (note.instruction != 0 && instance.mapping != nullptr && instance.mapping->contains(note.instruction)) {
        uint64_t offset = 0;
        const Text symbol = instance.mapping->symbol_for(note.instruction, offset);
        text.append(note.is_answer ? Text(": ") : Text(" in "));
        if (symbol.empty())
            text.append(format<60>("{}+0x{:x}", instance.name(), note.instruction - instance.mapping->base()).text());
        else if (note.is_answer)
            text.append(function_name(symbol).text());
        else
            text.append(format<140>("{}+0x{:x}", function_name(symbol).text(), offset).text());
        if (const auto source = source_line_of(note, *instance.mapping); !source.empty()) {
            text.append(" at ");
            text.append(source.text());
        }
    }
    return text;
}

}  // namespace helix::kernel

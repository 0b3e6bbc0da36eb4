// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ModuleSystem: calls into modules by name, and what modules ask of the registry.

#include "kernel/kernel.hpp"
#include "kernel/memory/make.hpp"
#include "kernel/module/module_system.hpp"

#include <iterator>

namespace helix::kernel {

namespace {
/// While it lives the calling thread waits for another module, or for what becomes of it.
class Awaiting {
public:
    explicit Awaiting(const void* what) { current_thread().awaits.store(what, std::memory_order_release); }
    ~Awaiting() { end(); }
    void end() { current_thread().awaits.store(nullptr, std::memory_order_release); }
    Awaiting(const Awaiting&) = delete;
    Awaiting& operator=(const Awaiting&) = delete;
};
}  // namespace

Result<Response> ModuleSystem::request(Instance* source, Text target, Text type, Bytes payload) {
    const uint64_t deadline_ns = deadline_after(kCallWaitNs);
    Ledger& ledger = source == nullptr ? kernel_ledger_ : source->ledger;
    const InstanceId id = source == nullptr ? InstanceId::None : source->id;
    return request(Asking{id, ledger, deadline_ns, nullptr}, target, type, payload);
}

Result<Response> ModuleSystem::request(const Asking& asking, Text target, Text type, Bytes payload) {
    const uint64_t deadline_ns = asking.deadline_ns;
    const auto absent = [&] { return Error(ErrorCode::NotFound, format("no module {} is loaded", target).text()); };
    for (;; wait_for_supervisor()) {  // it failed, or is to be replaced or removed: whoever serves afterwards is asked
        const RecordPin record = find(target);
        if (!record) return absent();
        if (record->call_lock.held_by_me())
            return Error(ErrorCode::Busy, format("{} is in a call of this thread already", target).text());
        const uint64_t now_ns = arch::now_ns();
        const uint64_t ended = restarts_ended();
        Awaiting awaiting(&record->call_lock);
        if (now_ns >= deadline_ns || !record->call_lock.lock_for(deadline_ns - now_ns))
            return Error(ErrorCode::TimedOut, format("{} was busy with another call", target).text());
        if (record->state() == ModuleState::Restarting && may_wait_for_supervisor()) {
            record->call_lock.unlock();
            if (auto decided = wait_for_restart(ended, deadline_ns); !decided.ok())
                return Error(decided.error().code(), format("{} is to be restarted, but was not yet: {}", target,
                                                            record->restarts.reason.text())
                                                         .text());
            continue;
        }
        if (record->current == nullptr) {  // it was removed since it was found
            record->call_lock.unlock();
            return absent();
        }
        if (asking.given_up != nullptr && __atomic_load_n(asking.given_up, __ATOMIC_ACQUIRE) != 0) {
            record->call_lock.unlock();
            return ErrorCode::Cancelled;
        }
        const bool undecided = !is_decided(&*record) && may_wait_for_supervisor();
        if (!undecided) {
            awaiting.end();
            auto result = request_locked(asking, *record, type, payload);
            record->call_lock.unlock();
            if (result.ok() || result.error().code() != ErrorCode::Restart || !may_wait_for_supervisor()) return result;
        } else {
            record->call_lock.unlock();
        }
    }
}

/// The request itself, made once.
Result<Response> ModuleSystem::request_locked(const Asking& asking, ModuleRecord& record, Text type, Bytes payload) {
    if (record.state() != ModuleState::Running)
        return Error(ErrorCode::InvalidState, format("{} is not running", record.name()).text());
    Instance& instance = *record.current;
    __atomic_fetch_add(&record.calls, 1, __ATOMIC_ACQ_REL);
    const Request request{asking.source, type, payload};
    note_call(TraceKind::Request, TraceCall::Begin, instance, type);
    auto response = instance.call<&Module::handle_request>(request);
    const bool well = response.ok() ? response.value().is_ok() : response.error().code() == ErrorCode::Restart;
    note_call(TraceKind::Request, well ? TraceCall::End : TraceCall::Error, instance);
    if (!well) record.metrics.count_error();
    if (!response.ok()) {
        if (response.error().code() == ErrorCode::NotImplemented)
            return Error(ErrorCode::NotImplemented, format("{} has no request \"{}\"", record.name(), type).text());
        return response;
    }
    if (const Bytes answer = response.value().payload().bytes(); answer.data() != nullptr || !answer.empty()) {
        if (!instance.ledger.hand_over(answer.data(), answer.size(), asking.ledger)) {
            response.value().payload().release();
            return Error(
                ErrorCode::ModuleFailed,
                format("{} answered with a buffer that is not its own, or not that large", record.name()).text());
        }
    }
    return response;
}

Result<void> ModuleSystem::wait_open(Slot& slot, uint64_t timeout_ns) {
    if (!may_wait_for_supervisor()) {  // a transaction's thread does not wait for its end
        if (slot.is_closed_for_failed()) return Error(ErrorCode::ModuleFailed, "the module that serves there failed");
        if (__atomic_load_n(&slot.closed, __ATOMIC_ACQUIRE) != 0)
            return Error(ErrorCode::Busy, format("{} is held by this very change", slot.interface.name).text());
    }
    const Awaiting awaiting(&slot);
    return slot.wait_open(timeout_ns);
}

bool ModuleSystem::wait_for_successor(Slot& slot, uint32_t generation) {
    if (!may_wait_for_supervisor()) return false;
    const Awaiting awaiting(&slot);
    wait_for_supervisor();
    // Where it is to be brought back, callers wait at the slot, and find out there who serves.
    if ((__atomic_load_n(&slot.closed, __ATOMIC_ACQUIRE) & Slot::kForFailed) != 0) return true;
    return __atomic_load_n(&slot.target, __ATOMIC_ACQUIRE) != nullptr &&
           __atomic_load_n(&slot.generation, __ATOMIC_ACQUIRE) != generation;
}

bool ModuleSystem::ask_health(Text name) {
    RecordPin record = find(name);
    if (!record || record->call_lock.held_by_me() || !record->call_lock.lock_for(kCallWaitNs)) return false;
    bool healthy = false;
    if (record->state() == ModuleState::Running) {
        auto answer = record->current->call_in_time<&Module::is_healthy>();
        healthy = answer.ok() && answer.value();
    }
    record->call_lock.unlock();
    return healthy;
}

// ---- For the services.

Result<SlotHead*> ModuleSystem::bind(Instance& instance, Text interface, uint16_t major, uint16_t minor, Text module) {
    MutexGuard guard(registry_);
    InterfaceRecord* found = interfaces_.find(interface);
    if (instance.replaces)
        if (InterfaceRecord* const coming = interfaces_.find(interface, major)) found = coming;
    const auto nobody = [&] {
        return Error(ErrorCode::NotFound, format("nobody implements {} {}.{}", interface, major, minor).text());
    };
    const bool comes = found != nullptr && instance.replaces && found->implementors.empty();
    if (found == nullptr || (comes ? found->minor < minor : !found->is_known())) return nobody();
    Slot* slot = found->primary;
    const ModuleRecord* server = found->primary_record;
    if (!module.empty()) {
        slot = nullptr;
        for (Slot& candidate : found->implementors)
            if (candidate.record->name() == module) slot = &candidate;
        for (Slot& candidate : found->implementors)  // else any other instance of that module
            if (slot == nullptr && candidate.record->current->info().name() == module) slot = &candidate;
        for (ModuleRecord& record : records_)
            for (uint32_t i = 0; comes && record.name() == module && i < record.slot_count; ++i)
                if (&record.slots[i]->interface == found) slot = record.slots[i];
        if (slot == nullptr)
            return Error(ErrorCode::NotFound, format("{} does not implement {}", module, interface).text());
        if (!comes) server = slot->record;
    }
    if (server != nullptr) {
        const ModuleDescriptor& implementor = *server->current->descriptor;
        const InterfaceEntry& entry = *find_interface(implementor, interface);
        if (entry.major != major || entry.minor < minor)
            return versions_differ(implementor, entry, instance.name(), Relation::Needs,
                                   {{}, major, minor, 0, nullptr, nullptr});
    } else if (found->major != major) {
        return nobody();  // whoever comes first is checked against the handle
    }
    const bool serves_kernel =
        is_plugged_by_kernel(interface) && (slot->record == nullptr || slot->record == found->primary_record);
    if (serves_kernel)
        return Error(ErrorCode::PermissionDenied, format("the ruling {} serves the kernel alone", interface).text());
    if (instance.on_trial) slot = TRY(refusing_slot(instance, *found));
    TRY(interfaces_.hold(kernel_, instance, *slot, minor));
    return static_cast<SlotHead*>(slot);
}

/// For an instance on trial: a slot of its place where every call is refused.
Result<Slot*> ModuleSystem::refusing_slot(Instance& instance, InterfaceRecord& interface) {
    ModuleRecord& place = instance.record;
    if (place.slot_count == ModuleRecord::kMaximumSlots)
        return Error(ErrorCode::OutOfRange, "on trial a module has a few handles at most");
    Slot* const slot = TRY(Slot::create(kernel_, interface, &place));
    slot->target = &instance.refusing;
    place.slots[place.slot_count++] = slot;
    return slot;
}

bool ModuleSystem::unbind(const Instance& instance, const SlotHead* slot) {
    MutexGuard guard(registry_);
    return interfaces_.let_go(kernel_, instance, slot);
}

bool ModuleSystem::has_handle(const Instance& instance, const SlotHead* slot) {
    MutexGuard guard(registry_);
    return interfaces_.holds(instance, slot);
}

void ModuleSystem::release_handles_of(Instance& instance) {
    MutexGuard guard(registry_);
    interfaces_.let_go_all(kernel_, instance);
}

Result<void> ModuleSystem::check_holders(const ModuleRecord& record, const ModuleDescriptor& module) const {
    change_.assert_held();
    TRY(interfaces_.check_majors(module, changing_));
    for (uint32_t i = 0; i < record.slot_count; ++i) {
        const Slot& own = *record.slots[i];
        TRY(interfaces_.check_holders(own, module));
        if (own.interface.primary_record == &record) TRY(interfaces_.check_holders(*own.interface.primary, module));
    }
    return {};
}

size_t ModuleSystem::count_interfaces() {
    MutexGuard guard(registry_);
    return static_cast<size_t>(std::distance(interfaces_.begin(), interfaces_.end()));
}

Result<FixedText<46>> ModuleSystem::get_primary(Text interface) {
    {
        const PreemptionGuard no_preemption;
        if (const ModuleRecord* const primary = interfaces_.get_primary(interface)) return primary->fixed_name();
    }
    return Error(ErrorCode::NotFound, format("nobody implements {}", interface).text());
}

Result<FixedText<46>> ModuleSystem::get_implementor(Text interface, size_t position) {
    MutexGuard guard(registry_);
    FixedText<46> name;
    interfaces_.get_implementors(interface, [&](ModuleRecord& record) {
        if (position-- == 0) name.assign(record.name());
    });
    if (name.text().empty())
        return Error(ErrorCode::NotFound, format("no more modules implement {}", interface).text());
    return name;
}

Result<void> ModuleSystem::subscribe(Instance& instance, EventKind kind, Text name) {
    MutexGuard guard(registry_);
    if (kind != EventKind::Custom) {
        instance.event_kinds |= 1u << static_cast<uint32_t>(kind);
        kernel_.modules.wake_supervisor();  // it may have to begin ticking
        return {};
    }
    for (uint32_t i = 0; i < instance.event_name_count; ++i)
        if (instance.event_names[i] == name) return {};
    if (instance.event_name_count == Instance::kMaximumNames)
        return Error(ErrorCode::OutOfRange, "a module subscribes to at most 8 event names");
    instance.event_names[instance.event_name_count++].assign(name);
    return {};
}

Result<void*> ModuleSystem::kept_memory(Instance& instance, Text name, uint32_t version, size_t size,
                                        size_t alignment) {
    MutexGuard guard(registry_);
    for (KeptRegion& region : instance.record.kept) {
        if (region.name != name || region.version != version) continue;
        if (region.size != size)
            return Error(ErrorCode::InvalidArgument,
                         format("kept memory {} has {} bytes, not {}", name, region.size, size).text());
        return region.memory;
    }
    const void* original = nullptr;
    if (instance.on_trial) {
        if (instance.tried_for == nullptr)
            return Error(ErrorCode::PermissionDenied, "on trial there is kept memory for init and start alone");
        for (const KeptRegion& region : instance.tried_for->kept)
            if (region.name == name && region.version == version && region.size == size) original = region.memory;
    }
    if (size == 0 || size > size_t{1} << 26 || name.size() > 46)
        return Error(ErrorCode::InvalidArgument,
                     "kept memory has 1 byte to 64 MiB and a name of at most 46 characters");
    auto* const region = make<KeptRegion>(kernel_.heap);
    if (region == nullptr) return ErrorCode::OutOfMemory;
    region->memory = kernel_.heap.allocate(size, alignment < 16 ? 16 : alignment);
    if (region->memory == nullptr) {
        unmake(kernel_.heap, region);
        return ErrorCode::OutOfMemory;
    }
    if (original != nullptr)
        __builtin_memcpy(region->memory, original, size);
    else
        __builtin_memset(region->memory, 0, size);
    region->name.assign(name);
    region->version = version;
    region->size = size;
    instance.record.kept.push_back(*region);
    return region->memory;
}

}  // namespace helix::kernel

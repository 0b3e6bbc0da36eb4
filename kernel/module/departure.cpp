// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Departure: finding dependents, directly or not, and sorting them.

#include "kernel/module/departure.hpp"

#include "kernel/kernel.hpp"

#include <utility>

namespace helix::kernel {

Result<ModuleSystem::Departure> ModuleSystem::Departure::create(ModuleSystem& system, ModuleRecord& record) {
    size_t capacity = 0;
    system.for_each([&](ModuleRecord&) { ++capacity; });
    void* const memory =
        system.kernel_.heap.allocate(capacity * (sizeof(ResolverNode) + sizeof(Entry) + sizeof(ModuleRecord*)));
    if (memory == nullptr) return ErrorCode::OutOfMemory;
    Departure departure(system, capacity, memory);
    system.for_each([&](ModuleRecord& other) {
        if (&other != &record && other.is_wanted()) departure.add(other);
    });
    departure.stay_ = departure.count_;
    departure.add(record);
    departure.providers_ = record.is_wanted() ? departure.count_ : departure.stay_;
    return departure;
}

ModuleSystem::Departure::Departure(ModuleSystem& system, size_t capacity, void* memory)
    : system_(system),
      nodes_(static_cast<ResolverNode*>(memory)),
      entries_(reinterpret_cast<Entry*>(nodes_ + capacity)),
      order_(reinterpret_cast<ModuleRecord**>(entries_ + capacity)) {}

ModuleSystem::Departure::Departure(Departure&& other)
    : system_(other.system_),
      nodes_(std::exchange(other.nodes_, nullptr)),
      entries_(other.entries_),
      order_(other.order_),
      count_(other.count_),
      stay_(other.stay_),
      providers_(other.providers_) {}

ModuleSystem::Departure::~Departure() {
    if (nodes_ != nullptr) system_.kernel_.heap.free(nodes_);
}

void ModuleSystem::Departure::add(ModuleRecord& record) {
    const ModuleInfo& info = record.current->info();
    nodes_[count_] = {record.name(), info.version(), &info};
    entries_[count_] = {&record, nullptr, false, static_cast<uint16_t>(count_)};
    ++count_;
}

void ModuleSystem::Departure::exchange(size_t i, size_t k) {
    std::swap(nodes_[i], nodes_[k]);
    std::swap(entries_[i], entries_[k]);
}

bool ModuleSystem::Departure::has_handle(const ModuleRecord& holder, const ModuleRecord& held) {
    MutexGuard guard(system_.registry_);
    bool found = false;
    system_.interfaces_.for_each_holding(
        [&](const Instance& by, const Slot& slot) { found |= &by.record == &holder && slot.record == &held; });
    return found;
}

/// Whether node `i`, of those that stay, depends on one that goes; its entry says on which.
bool ModuleSystem::Departure::depends(size_t i) {
    const Span<const ResolverNode> all(nodes_, providers_);
    const Span<const ResolverNode> staying(nodes_, stay_);
    Entry& entry = entries_[i];
    const auto& needs = nodes_[i].info->dependencies();
    for (size_t k = 0; k < needs.size(); ++k) {
        const auto requirement = Requirement::parse(needs[k]);
        if (!requirement.ok() || provider_of(staying, requirement.value(), i).ok()) continue;
        if (const auto provider = provider_of(all, requirement.value(), i); provider.ok()) {
            entry.because = entries_[provider.value()].record;
            entry.by_handle = false;
            return true;
        }
    }
    for (size_t k = stay_; k < count_; ++k) {
        if (!has_handle(*entry.record, *entries_[k].record)) continue;
        entry.because = entries_[k].record;
        entry.by_handle = true;
        return true;
    }
    return false;
}

Result<void> ModuleSystem::Departure::check_alone() {
    FixedText<100> dependents;
    for (size_t i = 0; i < stay_; ++i) {
        if (!depends(i)) continue;
        if (!dependents.empty()) dependents.append(", ");
        dependents.append(nodes_[i].name);
    }
    if (dependents.empty()) return {};
    return Error(ErrorCode::Busy, format("{} is needed by {}; with --cascade they are unloaded too",
                                         entries_[count_ - 1].record->name(), dependents)
                                      .text());
}

Result<void> ModuleSystem::Departure::add_dependents() {
    system_.change_.assert_held();
    for (size_t i = 0; i < stay_;) {
        if (!depends(i)) {
            ++i;
            continue;
        }
        exchange(i, --stay_);
        i = 0;
    }
    for (size_t i = count_; i-- > stay_;)
        if (const auto able = system_.check_removable(*entries_[i].record); !able.ok()) return explain(i, able.error());
    return {};
}

/// `error`, about node `i`, and the chain that leads from there to the module that was asked for.
Error ModuleSystem::Departure::explain(size_t i, const Error& error) const {
    if (i == count_ - 1) return error;
    FixedText<Error::kCapacity> text(error.sentence());
    text.append(": ");
    const Entry* entry = &entries_[i];
    while (entry->because != nullptr) {
        text.append(entry->record->name());
        text.append(entry->by_handle ? Text(" has a handle to ") : Text(" needs "));
        for (size_t k = stay_; k < count_; ++k) {
            if (entries_[k].record != entry->because) continue;
            entry = &entries_[k];
            break;
        }
    }
    text.append(entry->record->name());
    return Error(error.code(), text.text());
}

Span<ModuleRecord* const> ModuleSystem::Departure::in_order() {
    const auto is_needed = [&](size_t i, size_t end) {
        for (size_t k = stay_; k < end; ++k) {
            if (k == i) continue;
            const auto& needs = nodes_[k].info->dependencies();
            for (size_t n = 0; n < needs.size(); ++n) {
                const auto requirement = Requirement::parse(needs[n]);
                if (requirement.ok() && provider_of({&nodes_[i], 1}, requirement.value()).ok()) return true;
            }
            const auto& uses = nodes_[k].info->optional();
            for (size_t n = 0; n < uses.size(); ++n) {
                const auto requirement = Requirement::parse(uses[n]);
                if (requirement.ok() && provider_of({&nodes_[i], 1}, requirement.value()).ok()) return true;
            }
            if (has_handle(*entries_[k].record, *entries_[i].record)) return true;
        }
        return false;
    };
    // Of those that are left, [stay_, end), the one that was started last and that no other needs.
    size_t placed = 0;
    for (size_t end = count_; end > stay_; --end) {
        size_t last = stay_;
        bool last_is_needed = true;
        for (size_t i = stay_; i < end; ++i) {
            const bool needed = is_needed(i, end);
            const bool later = entries_[i].started > entries_[last].started;
            if (needed == last_is_needed ? !later && i != stay_ : needed) continue;
            last = i;
            last_is_needed = needed;
        }
        order_[placed++] = entries_[last].record;
        exchange(last, end - 1);
    }
    return {order_, placed};
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ModuleSystem: whether what a module needs is there, and whether others could go on without a module.

#include "kernel/kernel.hpp"
#include "kernel/module/module_system.hpp"
#include "kernel/module/resolver.hpp"

#include <utility>

namespace helix::kernel {

/// Modules as nodes of the resolver, on the kernel's heap; valid while the change lock is held.
class ModuleSystem::Nodes {
public:
    /// Those that run, or will when the reload that is under way is done, as they are then.
    static Result<Nodes> running(ModuleSystem& system) {
        return create(system, nullptr, future,
                      [](const ModuleRecord& record) { return record.state() == ModuleState::Running; });
    }
    /// Those that run or are to run again, and those that are being replaced.
    enum class When : uint8_t { Now, Then };
    static Result<Nodes> at(ModuleSystem& system, When when) {
        return create(system, nullptr, when == When::Then ? future : present,
                      [](const ModuleRecord& record) { return record.is_wanted(); });
    }
    /// Those that run or are to run again; `last` is the last of them, whether it does or not.
    static Result<Nodes> wanted(ModuleSystem& system, const ModuleRecord& last) {
        return create(system, &last, present, [](const ModuleRecord& record) { return record.is_wanted(); });
    }
    Nodes(Nodes&& other) : heap_(other.heap_), nodes_(std::exchange(other.nodes_, nullptr)), count_(other.count_) {}
    Nodes(const Nodes&) = delete;
    Nodes& operator=(const Nodes&) = delete;
    ~Nodes() {
        if (nodes_ != nullptr) heap_.free(nodes_);
    }

    Span<ResolverNode> all() { return {nodes_, count_}; }
    Span<const ResolverNode> all() const { return {nodes_, count_}; }
    /// A number for each, for the resolver's use.
    Span<uint16_t> scratch() const { return {reinterpret_cast<uint16_t*>(nodes_ + count_), count_}; }

private:
    Nodes(Heap& heap, ResolverNode* nodes, size_t count) : heap_(heap), nodes_(nodes), count_(count) {}
    using Look = const ModuleInfo& (*)(const ModuleSystem& system, const ModuleRecord& record);
    static const ModuleInfo& present(const ModuleSystem&, const ModuleRecord& record) { return record.current->info(); }
    static const ModuleInfo& future(const ModuleSystem& system, const ModuleRecord& record) {
        system.change_.assert_held();
        return system.info_of(record);
    }
    static Result<Nodes> create(ModuleSystem& system, const ModuleRecord* last, Look look,
                                bool (*wants)(const ModuleRecord&)) {
        system.change_.assert_held();
        const Replacements* const changing = system.changing_;
        size_t count = 0;
        system.for_each([&](ModuleRecord&) { ++count; });
        Heap& heap = system.kernel_.heap;
        constexpr size_t kEach = sizeof(ResolverNode) + sizeof(uint16_t);
        auto* const nodes = static_cast<ResolverNode*>(heap.allocate((count + 1) * kEach));
        if (nodes == nullptr) return ErrorCode::OutOfMemory;
        count = 0;
        const auto add = [&](const ModuleRecord& record) {
            const ModuleInfo& info = look(system, record);
            nodes[count++] = {record.name(), info.version(), &info};
        };
        system.for_each([&](ModuleRecord& record) {
            const bool changes = changing != nullptr && changing->find(record) != nullptr;
            if (&record != last && (changes || wants(record))) add(record);
        });
        if (last != nullptr) add(*last);
        return Nodes(heap, nodes, count);
    }

    Heap& heap_;
    ResolverNode* nodes_;
    size_t count_;
};

Result<void> ModuleSystem::check_dependencies(const ModuleInfo& info) {
    for (size_t i = 0; i < info.dependencies().size(); ++i) {
        const Text text = info.dependencies()[i];
        const Requirement requirement = TRY(Requirement::parse(text));
        // A module of that name comes first, and mostly there is one.
        const ModuleRecord* const named = find_record(requirement.name.text());
        if (named != nullptr && named->state() == ModuleState::Running &&
            requirement.range.contains(info_of(*named).version()))
            continue;
        const Nodes running = TRY(Nodes::running(*this));
        const auto provider = provider_of(running.all(), requirement);
        if (provider.ok()) continue;
        TRY(check_cycle_in_files(info));
        return Error(provider.error().code(),
                     format("{} needs {}: {}", info.name(), text, provider.error().sentence()).text());
    }
    return {};
}

Result<void> ModuleSystem::check_conflicts(const ModuleRecord& record, const ModuleInfo& info) {
    // Mostly nobody has anything against anybody, and nobody need be looked at.
    if (info.conflicts().size() == 0 && changing_ == nullptr && conflicting_.empty()) return {};
    const ResolverNode node = {record.name(), info.version(), &info};
    Result<void> result;
    for_each([&](ModuleRecord& other) {
        change_.assert_held();
        if (&other == &record || !other.is_wanted() || !result.ok()) return;
        const ModuleInfo& its = info_of(other);
        const ResolverNode there = {other.name(), its.version(), &its};
        if (!conflicts_with(node, there) && !conflicts_with(there, node)) return;
        result = Error(ErrorCode::Incompatible, format("{} and {}, which is loaded, conflict: unload {} first",
                                                       name_with_version(record.name(), info.version()),
                                                       name_with_version(other.name(), its.version()), other.name())
                                                    .text());
    });
    return result;
}

bool ModuleSystem::needs_those_who_return(const ModuleRecord& record) {
    const auto running = Nodes::running(*this);
    const auto wanted = Nodes::wanted(*this, record);
    if (!running.ok() || !wanted.ok()) return false;
    bool waits = false;
    for (size_t i = 0; i < record.current->info().dependencies().size(); ++i) {
        const auto requirement = Requirement::parse(record.current->info().dependencies()[i]);
        if (!requirement.ok() || !provider_of(wanted.value().all(), requirement.value()).ok()) return false;
        waits |= !provider_of(running.value().all(), requirement.value()).ok();
    }
    const Span<const ResolverNode> all = wanted.value().all();
    return waits && check_cycle(all, all.size() - 1, wanted.value().scratch()).ok();  // in one nobody would begin
}

const ModuleInfo& ModuleSystem::info_of(const ModuleRecord& record) const {
    const Replacement* const replacement = changing_ == nullptr ? nullptr : changing_->find(record);
    return replacement == nullptr ? record.current->info() : replacement->image->info();
}

Result<void> ModuleSystem::check_dependents() {
    const Nodes now = TRY(Nodes::at(*this, Nodes::When::Now));
    const Nodes then = TRY(Nodes::at(*this, Nodes::When::Then));
    for (size_t i = 0; i < now.all().size(); ++i) {
        const ResolverNode& node = now.all()[i];
        if (node.info != then.all()[i].info) continue;  // it is replaced, and asked what it needs when it is made
        for (size_t k = 0; k < node.info->dependencies().size(); ++k) {
            const Text need = node.info->dependencies()[k];
            const auto requirement = Requirement::parse(need);
            if (!requirement.ok()) continue;
            const auto provider = provider_of(now.all(), requirement.value());
            if (!provider.ok() || provider_of(then.all(), requirement.value()).ok()) continue;
            return Error(ErrorCode::Incompatible, format("{} needs {}, which the new {} does not meet", node.name, need,
                                                         now.all()[provider.value()].name)
                                                      .text());
        }
    }
    return {};
}

/// What is missing may wait for `info` itself, in a file that is not loaded: no order of loads would help. Nothing of
/// the files is run; one that cannot be read is none.
Result<void> ModuleSystem::check_cycle_in_files(const ModuleInfo& info) {
    constexpr size_t kFiles = 64;
    struct Files {
        ResolverNode nodes[1 + kFiles];
        Image* images[1 + kFiles];
        uint16_t scratch[1 + kFiles];
    };
    auto* const found = static_cast<Files*>(kernel_.heap.allocate(sizeof(Files)));
    if (found == nullptr) return {};
    found->nodes[0] = {info.name(), info.version(), &info};
    size_t used = 1;
    for (const Archive* archive : {&initrd_, &bundle_}) {
        for (const ArchiveEntry& entry : *archive) {
            if (!entry.is_file() || !entry.name.ends_with(".hmod") || used == 1 + kFiles) continue;
            auto image = Image::create(kernel_.memory, entry.data, entry.name);
            if (!image.ok()) continue;
            const ModuleInfo& other = image.value()->info();
            bool wanted = find_record(other.name()) == nullptr;
            for (size_t i = 0; i < used; ++i) wanted &= found->nodes[i].name != other.name();
            if (!wanted) {
                image.value()->release();
                continue;
            }
            found->images[used] = image.value();
            found->nodes[used++] = {other.name(), other.version(), &other};
        }
    }
    const auto result = check_cycle(Span<const ResolverNode>(found->nodes, used), 0, Span<uint16_t>(found->scratch));
    while (--used > 0) found->images[used]->release();
    kernel_.heap.free(found);
    return result;
}

}  // namespace helix::kernel

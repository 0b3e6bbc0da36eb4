// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ModuleSystem: whether what a module needs is there, and whether others could go on without a module.

#include "kernel/kernel.hpp"
#include "kernel/module/module_system.hpp"
#include "kernel/module/resolver.hpp"

#include <utility>

namespace helix::kernel {

namespace {

/// What a module that runs needs and `before` met, while `after` does not; empty if there is nothing.
FixedText<62> lost_need(const ModuleInfo& info, Span<const ResolverNode> before, Span<const ResolverNode> after) {
    for (size_t i = 0; i < info.dependencies().size(); ++i) {
        const Text need = info.dependencies()[i];
        const auto requirement = Requirement::parse(need);
        if (requirement.ok() && provider_of(before, requirement.value()).ok() &&
            !provider_of(after, requirement.value()).ok())
            return FixedText<62>(need);
    }
    return {};
}

}  // namespace

/// The modules that run, as nodes of the resolver, on the kernel's heap; valid while the change lock is held.
class ModuleSystem::RunningModules {
public:
    /// `also` counts as if it ran.
    static Result<RunningModules> create(ModuleSystem& system, const ModuleRecord* also = nullptr) {
        size_t count = 0;
        system.for_each([&](ModuleRecord&) { ++count; });
        Heap& heap = system.kernel_.heap;
        auto* const nodes = static_cast<ResolverNode*>(heap.allocate((count + 1) * sizeof(ResolverNode)));
        if (nodes == nullptr) return ErrorCode::OutOfMemory;
        count = 0;
        system.for_each([&](ModuleRecord& record) {
            if (record.state() != ModuleState::Running && &record != also) return;
            const ModuleInfo& info = record.current->info();
            nodes[count++] = {record.name(), info.version(), &info};
        });
        return RunningModules(heap, nodes, count);
    }
    RunningModules(RunningModules&& other)
        : heap_(other.heap_), nodes_(std::exchange(other.nodes_, nullptr)), count_(other.count_) {}
    RunningModules(const RunningModules&) = delete;
    RunningModules& operator=(const RunningModules&) = delete;
    ~RunningModules() {
        if (nodes_ != nullptr) heap_.free(nodes_);
    }

    Span<ResolverNode> nodes() { return {nodes_, count_}; }
    Span<const ResolverNode> nodes() const { return {nodes_, count_}; }

private:
    RunningModules(Heap& heap, ResolverNode* nodes, size_t count) : heap_(heap), nodes_(nodes), count_(count) {}

    Heap& heap_;
    ResolverNode* nodes_;
    size_t count_;
};

Result<void> ModuleSystem::check_dependencies(const ModuleInfo& info) {
    const RunningModules running = TRY(RunningModules::create(*this));
    for (size_t i = 0; i < info.dependencies().size(); ++i) {
        const Text text = info.dependencies()[i];
        const Requirement requirement = TRY(Requirement::parse(text));
        const auto provider = provider_of(running.nodes(), requirement);
        if (provider.ok()) continue;
        TRY(check_cycle_in_files(info));
        return Error(provider.error().code(),
                     format("{} needs {}: {}", info.name(), text, provider.error().sentence()).text());
    }
    return {};
}

Result<void> ModuleSystem::check_dependents(const ModuleRecord& record, const ModuleInfo* instead) {
    // One that failed for good serves nobody, and may be removed; but who comes in its place serves them again.
    if (instead == nullptr && record.state() != ModuleState::Running && !record.restarts.is_pending()) return {};
    const RunningModules before = TRY(RunningModules::create(*this, &record));
    RunningModules after = TRY(RunningModules::create(*this, &record));
    for (ResolverNode& node : after.nodes()) {
        if (node.name != record.name()) continue;
        // Whoever goes away is nobody's provider: by no name, with nothing to offer.
        constexpr static ModuleInfo kNobody;
        node = instead == nullptr ? ResolverNode{Text(), Version(), &kNobody}
                                  : ResolverNode{record.name(), instead->version(), instead};
    }
    FixedText<120> dependents;
    for (const ResolverNode& node : before.nodes()) {
        if (node.name == record.name()) continue;
        const auto need = lost_need(*node.info, before.nodes(), after.nodes());
        if (need.empty()) continue;
        if (instead != nullptr)
            return Error(
                ErrorCode::Incompatible,
                format("{} needs {}, which the new {} does not meet", node.name, need.text(), record.name()).text());
        if (!dependents.empty()) dependents.append(", ");
        dependents.append(node.name);
    }
    if (dependents.empty()) return {};
    return Error(ErrorCode::Busy, format("{} is needed by {}", record.name(), dependents.text()).text());
}

/// What is missing may wait for `info` itself, in a file that is not loaded: no order of loads would help. Nothing of
/// the files is run; one that cannot be read is none.
Result<void> ModuleSystem::check_cycle_in_files(const ModuleInfo& info) {
    constexpr size_t kFiles = 64;
    struct Nodes {
        ResolverNode nodes[1 + kFiles];
        Image* images[1 + kFiles];
        uint16_t scratch[1 + kFiles];
    };
    auto* const found = static_cast<Nodes*>(kernel_.heap.allocate(sizeof(Nodes)));
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

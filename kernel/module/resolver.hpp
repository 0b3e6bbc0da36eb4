// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Start order from dependencies: providers before those who need them. And who may not be there together.
#pragma once

#include "helix/info.hpp"
#include "kernel/module/version_range.hpp"

namespace helix::kernel {

/// One module that takes part, or another instance of it under another name. Dependencies and provided capabilities
/// come from `info`, which outlives the call.
struct ResolverNode {
    Text name;
    Version version;
    const ModuleInfo* info;
};

inline constexpr size_t kMaximumResolverNodes = 1024;

/// Fills the first nodes.size() places of `order` with the indices of `nodes`, every provider before its dependents
/// and otherwise in the given order. What is optional orders too, but is not missed, and no circle ends there. Pure: no
/// allocation, any context; time grows with the square of the count. Errors, each one sentence with the chain of names
/// (cut in its middle when it is long): AlreadyExists (a name twice), NotFound (a dependency is missing), Incompatible
/// (no provider has a suitable version), InvalidArgument (a malformed dependency), InvalidState (a cycle), OutOfRange
/// (`order` too small, too many nodes). `order` holds nothing of use after an error.
Result<void> resolve(Span<const ResolverNode> nodes, Span<uint16_t> order);

/// Whether dependency `k` of node `i` is among `nodes`. `scratch` has room for all nodes. Pure, like resolve. Errors:
/// NotFound, Incompatible, InvalidArgument, as there.
Result<void> check_dependency(Span<const ResolverNode> nodes, size_t i, size_t k, Span<uint16_t> scratch);

/// Whether `start` waits for a cycle: it is in one, or needs something that is. Dependencies that nobody in `nodes`
/// meets are passed by. `scratch` has room for all nodes. Pure, like resolve. Errors: InvalidState, with the chain.
Result<void> check_cycle(Span<const ResolverNode> nodes, size_t start, Span<uint16_t> scratch);

/// Whether all of `nodes` can be there together. Pure. Errors: Incompatible, with the chains of those who need the two.
/// `scratch` has room for all nodes.
Result<void> check_conflicts(Span<const ResolverNode> nodes, Span<uint16_t> scratch);

/// Whether `node` conflicts with `other`, which is another: by its own words. A malformed conflict is none.
bool conflicts_with(const ResolverNode& node, const ResolverNode& other);

/// The index of the node that meets `requirement`: the module of that name, otherwise the first other instance of that
/// module, otherwise the first that provides it as a capability; not the one at `except`. Capabilities carry the
/// version of the module that provides them. Errors: NotFound (nobody), Incompatible (only unsuitable versions).
Result<size_t> provider_of(Span<const ResolverNode> nodes, const Requirement& requirement, size_t except = SIZE_MAX);

}  // namespace helix::kernel

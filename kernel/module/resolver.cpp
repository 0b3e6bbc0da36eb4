// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Topological sort after Kahn (1962), always taking the first node in the given order that is ready.

#include "kernel/module/resolver.hpp"

#include "helix/format.hpp"

namespace helix::kernel {

namespace {

constexpr size_t kNobody = SIZE_MAX;

/// Who could meet a requirement.
struct Candidates {
    size_t suitable = kNobody;
    size_t unsuitable = kNobody;  ///< the right name, another version
    bool by_name = false;         ///< `unsuitable` is the module itself, not a capability
};

/// Leaves out the node `except`.
Candidates candidates_of(Span<const ResolverNode> nodes, const Requirement& requirement, size_t except) {
    Candidates found;
    const auto consider = [&](size_t i, bool by_name) {
        if (requirement.range.contains(nodes[i].version)) {
            found.suitable = i;
            return true;
        }
        if (found.unsuitable == kNobody) {
            found.unsuitable = i;
            found.by_name = by_name;
        }
        return false;
    };
    const Text name = requirement.name.text();
    for (size_t i = 0; i < nodes.size(); ++i)
        if (i != except && nodes[i].name == name && consider(i, true)) return found;
    for (size_t i = 0; i < nodes.size(); ++i)
        if (i != except && nodes[i].info->name() == name && nodes[i].name != name && consider(i, true)) return found;
    for (size_t i = 0; i < nodes.size(); ++i)
        if (i != except && nodes[i].info->provides().contains(name) && consider(i, false)) return found;
    return found;
}

/// A module that provides what it needs itself depends on another provider if there is one, otherwise on itself.
Candidates candidates_for(Span<const ResolverNode> nodes, size_t node, const Requirement& requirement) {
    const Candidates others = candidates_of(nodes, requirement, node);
    if (others.suitable != kNobody) return others;
    const Candidates all = candidates_of(nodes, requirement, kNobody);
    return all.suitable != kNobody ? all : others;
}

/// The provider of dependency `k` of `node`, or kNobody.
size_t provider_of_dependency(Span<const ResolverNode> nodes, size_t node, size_t k) {
    const Result<Requirement> requirement = Requirement::parse(nodes[node].info->dependencies()[k]);
    return requirement.ok() ? candidates_for(nodes, node, requirement.value()).suitable : kNobody;
}

/// "a needs b needs c" + `end`, with names left out in the middle when it does not fit an Error.
FixedText<Error::kCapacity> compose(Span<const ResolverNode> nodes, Span<const uint16_t> chain, Text end) {
    constexpr Text kNeeds = " needs ";
    constexpr Text kCut = "\u2026 needs ";
    FixedText<Error::kCapacity> out;
    size_t whole = end.size();
    for (uint16_t i : chain) whole += nodes[i].name.size() + kNeeds.size();
    if (whole <= out.capacity()) {
        for (uint16_t i : chain) {
            out.append(nodes[i].name);
            out.append(kNeeds);
        }
        out.append(end);
        return out;
    }
    const size_t room =
        out.capacity() - kCut.size() - (end.size() < out.capacity() / 2 ? end.size() : out.capacity() / 2);
    size_t front = 0;
    size_t used = 0;
    while (front < chain.size() && used + nodes[chain[front]].name.size() + kNeeds.size() <= room / 2 + room % 2) {
        used += nodes[chain[front]].name.size() + kNeeds.size();
        out.append(nodes[chain[front++]].name);
        out.append(kNeeds);
    }
    size_t back = chain.size();
    while (back > front + 1 && used + nodes[chain[back - 1]].name.size() + kNeeds.size() <= room)
        used += nodes[chain[--back]].name.size() + kNeeds.size();
    out.append(kCut);
    for (size_t i = back; i < chain.size(); ++i) {
        out.append(nodes[chain[i]].name);
        out.append(kNeeds);
    }
    out.append(end);
    return out;
}

/// Who needs `node`, and who needs that one, up to a module that nobody needs; outermost first, `node` last.
/// Uses `scratch`, which has room for all nodes.
Span<const uint16_t> chain_to(Span<const ResolverNode> nodes, size_t node, Span<uint16_t> scratch) {
    size_t begin = nodes.size();
    scratch[--begin] = static_cast<uint16_t>(node);
    const auto in_chain = [&](size_t i) {
        for (size_t k = begin; k < nodes.size(); ++k)
            if (scratch[k] == i) return true;
        return false;
    };
    const auto needs = [&](size_t i, size_t provider) {
        for (size_t k = 0; k < nodes[i].info->dependencies().size(); ++k)
            if (provider_of_dependency(nodes, i, k) == provider) return true;
        return false;
    };
    for (size_t i = 0; i < nodes.size();) {
        if (!in_chain(i) && needs(i, scratch[begin])) {
            scratch[--begin] = static_cast<uint16_t>(i);
            i = 0;
        } else {
            ++i;
        }
    }
    return scratch.subspan(begin, nodes.size() - begin);
}

Result<void> check_names(Span<const ResolverNode> nodes) {
    for (size_t i = 0; i < nodes.size(); ++i)
        for (size_t k = 0; k < i; ++k)
            if (nodes[i].name == nodes[k].name)
                return Error(ErrorCode::AlreadyExists,
                             format("{} is there twice; a name belongs to one module", nodes[i].name).text());
    return {};
}

Result<void> check_dependencies(Span<const ResolverNode> nodes, Span<uint16_t> scratch) {
    for (size_t i = 0; i < nodes.size(); ++i)
        for (size_t k = 0; k < nodes[i].info->dependencies().size(); ++k) TRY(check_dependency(nodes, i, k, scratch));
    return {};
}

/// One bit for each node.
class NodeSet {
public:
    bool contains(size_t i) const { return (words_[i / 64] >> (i % 64) & 1) != 0; }
    void add(size_t i) { words_[i / 64] |= uint64_t{1} << (i % 64); }

private:
    uint64_t words_[kMaximumResolverNodes / 64] = {};
};

/// Whether something that `node` can use, but does without if need be, is there and not in `placed`.
bool waits_for_optional(Span<const ResolverNode> nodes, size_t node, const NodeSet& placed) {
    const auto& optional = nodes[node].info->optional();
    for (size_t k = 0; k < optional.size(); ++k) {
        const auto requirement = Requirement::parse(optional[k]);
        if (!requirement.ok()) continue;
        const size_t provider = candidates_of(nodes, requirement.value(), node).suitable;
        if (provider != kNobody && !placed.contains(provider)) return true;
    }
    return false;
}

/// The first dependency of `node` whose provider is there but not in `placed`, or kNobody.
size_t unplaced_provider(Span<const ResolverNode> nodes, size_t node, const NodeSet& placed) {
    for (size_t k = 0; k < nodes[node].info->dependencies().size(); ++k) {
        const size_t provider = provider_of_dependency(nodes, node, k);
        if (provider != kNobody && !placed.contains(provider)) return provider;
    }
    return kNobody;
}

/// `start` is not placed, and neither is anything that could be placed next, so following dependencies ends in a
/// cycle.
Error cycle_error(Span<const ResolverNode> nodes, size_t start, const NodeSet& placed, Span<uint16_t> scratch) {
    for (size_t i = 0; i < nodes.size(); ++i) start = unplaced_provider(nodes, start, placed);
    size_t first = start;
    size_t length = 0;
    for (size_t i = start; length == 0 || i != start; i = unplaced_provider(nodes, i, placed), ++length)
        if (i < first) first = i;
    size_t next = first;
    for (size_t i = 0; i < length; ++i, next = unplaced_provider(nodes, next, placed))
        scratch[i] = static_cast<uint16_t>(next);
    return Error(ErrorCode::InvalidState,
                 compose(nodes, scratch.subspan(0, length), format("{}: a cycle", nodes[first].name).text()).text());
}

}  // namespace

bool conflicts_with(const ResolverNode& node, const ResolverNode& other) {
    const auto& conflicts = node.info->conflicts();
    for (size_t i = 0; i < conflicts.size(); ++i) {
        const auto requirement = Requirement::parse(conflicts[i]);
        if (requirement.ok() && provider_of({&other, 1}, requirement.value()).ok()) return true;
    }
    return false;
}

Result<void> check_conflicts(Span<const ResolverNode> nodes, Span<uint16_t> scratch) {
    for (size_t i = 0; i < nodes.size(); ++i) {
        for (size_t k = 0; k < nodes.size(); ++k) {
            if (i == k || !conflicts_with(nodes[i], nodes[k])) continue;
            const auto [major, minor, patch] = nodes[k].version;
            Span<const uint16_t> chain = chain_to(nodes, k, scratch);
            FixedText<Error::kCapacity> end =
                format("{}, which conflicts with {} {}.{}.{}", nodes[i].name, nodes[k].name, major, minor, patch);
            if (chain.size() > 1) {
                const auto needed = compose(nodes, chain.subspan(0, chain.size() - 1), nodes[k].name);
                if (end.size() + needed.size() + 3 < Error::kCapacity) end = format("{} ({})", end, needed);
            }
            chain = chain_to(nodes, i, scratch);
            return Error(ErrorCode::Incompatible,
                         compose(nodes, chain.subspan(0, chain.size() - 1), end.text()).text());
        }
    }
    return {};
}

Result<size_t> provider_of(Span<const ResolverNode> nodes, const Requirement& requirement, size_t except) {
    const Candidates found = candidates_of(nodes, requirement, except);
    if (found.suitable != kNobody) return found.suitable;
    const Text name = requirement.name.text();
    if (found.unsuitable == kNobody)
        return Error(ErrorCode::NotFound, format("no module is or provides {}", name).text());
    const ResolverNode& other = nodes[found.unsuitable];
    return Error(ErrorCode::Incompatible, format("{} {}.{}.{} is not a version of {} that will do", other.name,
                                                 other.version.major, other.version.minor, other.version.patch, name)
                                              .text());
}

Result<void> check_dependency(Span<const ResolverNode> nodes, size_t i, size_t k, Span<uint16_t> scratch) {
    const Text text = nodes[i].info->dependencies()[k];
    const Result<Requirement> requirement = Requirement::parse(text);
    if (!requirement.ok())
        return Error(ErrorCode::InvalidArgument,
                     format("dependency of {}: {}", nodes[i].name, requirement.error().sentence()).text());
    const Candidates found = candidates_for(nodes, i, requirement.value());
    if (found.suitable != kNobody) return {};
    const Span<const uint16_t> chain = chain_to(nodes, i, scratch);
    if (found.unsuitable == kNobody)
        return Error(ErrorCode::NotFound, compose(nodes, chain, format("{}, which is missing", text).text()).text());
    const ResolverNode& other = nodes[found.unsuitable];
    const auto [major, minor, patch] = other.version;
    const FixedText<186> end = found.by_name ? format("{} but {} is {}.{}.{}", text, other.name, major, minor, patch)
                                             : format("{} but {} provides {} {}.{}.{}", text, other.name,
                                                      requirement.value().name.text(), major, minor, patch);
    return Error(ErrorCode::Incompatible, compose(nodes, chain, end.text()).text());
}

Result<void> check_cycle(Span<const ResolverNode> nodes, size_t start, Span<uint16_t> scratch) {
    if (nodes.size() > kMaximumResolverNodes || scratch.size() < nodes.size()) return {};  // then it is not looked for
    // What `start` needs, directly or not: scratch[0..count).
    NodeSet wanted;
    size_t count = 0;
    const auto want = [&](size_t i) {
        if (i == kNobody || wanted.contains(i)) return;
        wanted.add(i);
        scratch[count++] = static_cast<uint16_t>(i);
    };
    want(start);
    for (size_t next = 0; next < count; ++next)
        for (size_t k = 0; k < nodes[scratch[next]].info->dependencies().size(); ++k)
            want(provider_of_dependency(nodes, scratch[next], k));
    // As in resolve, until nothing can be placed any more.
    NodeSet placed;
    for (bool progress = true; progress;) {
        progress = false;
        for (size_t i = 0; i < count; ++i) {
            if (placed.contains(scratch[i]) || unplaced_provider(nodes, scratch[i], placed) != kNobody) continue;
            placed.add(scratch[i]);
            progress = true;
        }
    }
    if (placed.contains(start)) return {};
    return cycle_error(nodes, start, placed, scratch);
}

Result<void> resolve(Span<const ResolverNode> nodes, Span<uint16_t> order) {
    if (nodes.size() > kMaximumResolverNodes)
        return Error(ErrorCode::OutOfRange, format("more than {} modules", kMaximumResolverNodes).text());
    if (order.size() < nodes.size()) return Error(ErrorCode::OutOfRange, "the order has no room for all modules");
    TRY(check_names(nodes));
    TRY(check_dependencies(nodes, order));

    NodeSet placed;
    for (size_t count = 0; count < nodes.size(); ++count) {
        size_t next = kNobody;
        size_t able = kNobody;  // but for what is optional: begins where a circle has to be broken
        size_t waiting = kNobody;
        for (size_t i = 0; i < nodes.size() && next == kNobody; ++i) {
            if (placed.contains(i)) continue;
            if (unplaced_provider(nodes, i, placed) != kNobody)
                waiting = waiting == kNobody ? i : waiting;
            else if (waits_for_optional(nodes, i, placed))
                able = able == kNobody ? i : able;
            else
                next = i;
        }
        if (next == kNobody) next = able;
        if (next == kNobody) return cycle_error(nodes, waiting, placed, order);
        placed.add(next);
        order[count] = static_cast<uint16_t>(next);
    }
    return {};
}

}  // namespace helix::kernel

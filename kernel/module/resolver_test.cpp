// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Start order and the sentences of what prevents one.

#include "kernel/module/resolver.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <vector>

namespace helix::kernel {
namespace {

/// Nodes made at run time. ModuleInfo is built at compile time only, so its lists are written through their layout.
class Graph {
public:
    size_t add(std::string name, Version version, std::vector<std::string> dependencies,
               std::vector<std::string> provides = {}, std::vector<std::string> conflicts = {}) {
        names_.push_back(std::move(name));
        ModuleInfo& info = infos_.emplace_back();
        write_list(const_cast<ModuleInfo::Dependencies&>(info.dependencies()), dependencies);
        write_list(const_cast<ModuleInfo::Provides&>(info.provides()), provides);
        write_list(const_cast<ModuleInfo::Conflicts&>(info.conflicts()), conflicts);
        nodes_.push_back({names_.back(), version, &info});
        return nodes_.size() - 1;
    }
    /// `node` is an instance of that module, under a name of its own.
    void is_instance_of(size_t node, Text module) {
        const FixedText<46> name(module);
        std::memcpy(static_cast<void*>(&infos_[node]), &name, sizeof(name));  // the first member
    }
    /// `node` can use these, and does without.
    void can_use(size_t node, std::vector<std::string> optional) {
        write_list(const_cast<ModuleInfo::Optional&>(infos_[node].optional()), optional);
    }
    size_t add(std::string name, std::vector<std::string> dependencies = {}) {
        return add(std::move(name), {1, 0, 0}, std::move(dependencies));
    }
    Span<const ResolverNode> nodes() const { return {nodes_.data(), nodes_.size()}; }

    std::string conflict() const {
        std::vector<uint16_t> scratch(nodes_.size());
        const Result<void> result = check_conflicts(nodes(), scratch);
        return result.ok() ? "none" : std::string(result.error().sentence());
    }
    std::string order() const {
        std::vector<uint16_t> order(nodes_.size());
        const Result<void> result = resolve(nodes(), order);
        if (!result.ok()) return "error: " + std::string(result.error().sentence());
        std::string text;
        for (uint16_t i : order) text += (text.empty() ? "" : " ") + names_[i];
        return text;
    }
    ErrorCode error() const {
        std::vector<uint16_t> order(nodes_.size());
        const Result<void> result = resolve(nodes(), order);
        return result.ok() ? ErrorCode{} : result.error().code();
    }

private:
    template <size_t Capacity, size_t Length>
    static void write_list(TextList<Capacity, Length>& list, const std::vector<std::string>& texts) {
        struct Layout {
            uint32_t count;
            FixedText<Length> items[Capacity];
        };
        static_assert(sizeof(Layout) == sizeof(list));
        Layout layout{static_cast<uint32_t>(texts.size()), {}};
        for (size_t i = 0; i < texts.size(); ++i) layout.items[i].assign(texts[i]);
        std::memcpy(static_cast<void*>(&list), &layout, sizeof(list));
    }
    std::deque<std::string> names_;
    std::deque<ModuleInfo> infos_;
    std::vector<ResolverNode> nodes_;
};

TEST(Resolver, KeepsTheGivenOrderWithoutDependencies) {
    Graph graph;
    for (const char* name : {"c", "a", "b"}) graph.add(name);
    EXPECT_EQ(graph.order(), "c a b");
}

TEST(Resolver, PutsProvidersFirstAndTiesInTheGivenOrder) {
    Graph graph;
    graph.add("a", {"c"});
    graph.add("b");
    graph.add("c", {"d"});
    graph.add("d");
    EXPECT_EQ(graph.order(), "b d c a");
}

TEST(Resolver, NothingIsAnOrder) {
    EXPECT_EQ(Graph().order(), "");
}

TEST(Resolver, DependsOnCapabilities) {
    Graph graph;
    graph.add("user", {"helix.scheduler >=1"});
    graph.add("policy", {1, 0, 0}, {}, {"helix.scheduler"});
    EXPECT_EQ(graph.order(), "policy user");
}

TEST(Resolver, TakesTheFirstProviderWithASuitableVersion) {
    Graph graph;
    graph.add("user", {"cap >=2"});
    graph.add("old", {1, 0, 0}, {"user"}, {"cap"});
    graph.add("new", {2, 0, 0}, {}, {"cap"});
    EXPECT_EQ(graph.order(), "new user old");
}

TEST(Resolver, PrefersTheModuleOfThatNameToACapability) {
    Graph graph;
    graph.add("user", {"x"});
    graph.add("other", {1, 0, 0}, {"user"}, {"x"});
    graph.add("x");
    EXPECT_EQ(graph.order(), "x user other");
}

TEST(Resolver, AModuleMayNeedAnotherProviderOfWhatItProvides) {
    Graph graph;
    graph.add("layer", {1, 0, 0}, {"block"}, {"block"});
    graph.add("disk", {1, 0, 0}, {}, {"block"});
    EXPECT_EQ(graph.order(), "disk layer");
}

TEST(Resolver, AModuleCannotWaitForItself) {
    Graph graph;
    graph.add("a", {"a"});
    EXPECT_EQ(graph.order(), "error: a needs a: a cycle");
    EXPECT_EQ(graph.error(), ErrorCode::InvalidState);
}

TEST(Resolver, NamesTheWholeChainToAMissingDependency) {
    Graph graph;
    graph.add("a", {"b"});
    graph.add("b", {"c"});
    graph.add("c", {"helix-foo >=2"});
    EXPECT_EQ(graph.order(), "error: a needs b needs c needs helix-foo >=2, which is missing");
    EXPECT_EQ(graph.error(), ErrorCode::NotFound);
}

TEST(Resolver, NamesBothVersionsOfAMismatch) {
    Graph graph;
    graph.add("a", {"helix-foo >=2"});
    graph.add("b", {1, 0, 0}, {}, {"helix-foo"});
    EXPECT_EQ(graph.order(), "error: a needs helix-foo >=2 but b provides helix-foo 1.0.0");
    EXPECT_EQ(graph.error(), ErrorCode::Incompatible);
    Graph by_name;
    by_name.add("top", {"a"});
    by_name.add("a", {"b ^1.2"});
    by_name.add("b", {2, 1, 3}, {});
    EXPECT_EQ(by_name.order(), "error: top needs a needs b ^1.2 but b is 2.1.3");
}

TEST(Resolver, NamesACycleFromItsFirstModule) {
    Graph graph;
    graph.add("outside", {"b"});
    graph.add("c", {"a"});
    graph.add("b", {"c"});
    graph.add("a", {"b"});
    EXPECT_EQ(graph.order(), "error: c needs a needs b needs c: a cycle");
    EXPECT_EQ(graph.error(), ErrorCode::InvalidState);
}

TEST(Resolver, FindsTheCycleThatOneModuleWaitsForAmongOthersThatAreIncomplete) {
    Graph graph;
    graph.add("lonely", {"nobody"});
    graph.add("a", {"nobody", "b"});
    graph.add("b", {"c"});
    graph.add("c", {"b"});
    graph.add("self", {1, 0, 0}, {"self-capability"}, {"self-capability"});
    const auto check = [&](size_t start) {
        uint16_t scratch[5];
        const Result<void> result = check_cycle(graph.nodes(), start, scratch);
        return result.ok() ? std::string() : std::string(result.error().sentence());
    };
    EXPECT_EQ(check(0), "");
    EXPECT_EQ(check(1), "b needs c needs b: a cycle");
    EXPECT_EQ(check(2), "b needs c needs b: a cycle");
    EXPECT_EQ(check(3), "b needs c needs b: a cycle");
    EXPECT_EQ(check(4), "self needs self: a cycle");
}

TEST(Resolver, RefusesANameTwice) {
    Graph graph;
    graph.add("a");
    graph.add("b");
    graph.add("a");
    EXPECT_EQ(graph.error(), ErrorCode::AlreadyExists);
    EXPECT_EQ(graph.order(), "error: a is there twice; a name belongs to one module");
}

TEST(Resolver, NamesTheModuleOfAMalformedDependency) {
    Graph graph;
    graph.add("a", {"b >=x"});
    EXPECT_EQ(graph.error(), ErrorCode::InvalidArgument);
    EXPECT_NE(graph.order().find("dependency of a"), std::string::npos);
}

TEST(Resolver, CutsALongChainInItsMiddle) {
    Graph graph;
    constexpr int kLength = 60;
    for (int i = 0; i < kLength; ++i)
        graph.add("module-" + std::to_string(i), {"module-" + std::to_string((i + 1) % kLength)});
    const std::string sentence = graph.order().substr(strlen("error: "));
    EXPECT_LE(sentence.size(), Error::kCapacity);
    EXPECT_GE(sentence.size(), Error::kCapacity - 40) << sentence;
    EXPECT_TRUE(sentence.starts_with("module-0 needs module-1 needs ")) << sentence;
    EXPECT_TRUE(sentence.ends_with(" needs module-59 needs module-0: a cycle")) << sentence;
    EXPECT_NE(sentence.find("needs \u2026 needs module-"), std::string::npos) << sentence;
}

TEST(Resolver, LongNamesStillGiveASentence) {
    Graph graph;
    const std::string tail(44, 'x');
    for (const char* name : {"a-", "b-", "c-", "d-", "e-"}) {
        const char next = static_cast<char>(name[0] + 1);
        graph.add(name + tail, {std::string(1, next) + "-" + tail});
    }
    const std::string sentence = graph.order();
    EXPECT_TRUE(sentence.starts_with("error: a-xxx")) << sentence;
    EXPECT_TRUE(sentence.ends_with(", which is missing")) << sentence;
}

TEST(Resolver, RefusesAnOrderThatIsTooSmall) {
    Graph graph;
    graph.add("a");
    graph.add("b");
    uint16_t order[1];
    EXPECT_EQ(resolve(graph.nodes(), order).error().code(), ErrorCode::OutOfRange);
}

TEST(Resolver, RandomGraphsWithoutCyclesAreOrderedRightly) {
    for (uint32_t seed = 1; seed <= 50; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        std::mt19937 random(seed);
        const size_t count = 1 + random() % 40;
        std::vector<size_t> rank(count);
        for (size_t i = 0; i < count; ++i) rank[i] = i;
        std::shuffle(rank.begin(), rank.end(), random);
        Graph graph;
        std::vector<std::vector<size_t>> edges(count);
        for (size_t i = 0; i < count; ++i) {
            std::vector<std::string> dependencies;
            for (size_t k = 0; k < count && dependencies.size() < 8; ++k)
                if (rank[k] < rank[i] && random() % 4 == 0) {
                    dependencies.push_back("m" + std::to_string(k));
                    edges[i].push_back(k);
                }
            graph.add("m" + std::to_string(i), dependencies);
        }
        std::vector<uint16_t> order(count);
        ASSERT_TRUE(resolve(graph.nodes(), order).ok());
        std::vector<size_t> position(count, SIZE_MAX);
        for (size_t i = 0; i < count; ++i) position[order[i]] = i;
        for (size_t i = 0; i < count; ++i) {
            ASSERT_NE(position[i], SIZE_MAX);
            for (size_t k : edges[i]) ASSERT_LT(position[k], position[i]);
        }
    }
}

TEST(ProviderOf, TellsMissingFromUnsuitable) {
    Graph graph;
    graph.add("a", {1, 0, 0}, {}, {"cap"});
    const auto ask = [&](const char* text) {
        return provider_of(graph.nodes(), Requirement::parse(Text::from_c_string(text)).value());
    };
    EXPECT_EQ(ask("a").value(), 0u);
    EXPECT_EQ(ask("cap ^1").value(), 0u);
    EXPECT_EQ(ask("cap >=2").error().code(), ErrorCode::Incompatible);
    EXPECT_EQ(ask("b").error().code(), ErrorCode::NotFound);
}

TEST(ProviderOf, FindsAnotherInstanceOfTheModuleIfNoneHasItsName) {
    Graph graph;
    graph.add("user", {"cache >=1"});
    graph.add("second", {1, 0, 0}, {});
    graph.is_instance_of(1, "cache");
    const auto ask = [&](const char* text) {
        return provider_of(graph.nodes(), Requirement::parse(Text::from_c_string(text)).value());
    };
    EXPECT_EQ(ask("cache").value(), 1u);
    EXPECT_EQ(ask("second").value(), 1u);
    EXPECT_EQ(ask("cache >=2").error().code(), ErrorCode::Incompatible);
    EXPECT_EQ(graph.order(), "second user");
    graph.add("cache", {1, 0, 0}, {});
    graph.is_instance_of(2, "cache");
    EXPECT_EQ(ask("cache").value(), 2u);
    EXPECT_EQ(graph.error(), ErrorCode{});
}

TEST(Conflicts, AreByNameOrByCapabilityAndWithinARange) {
    Graph graph;
    graph.add("a", {1, 0, 0}, {}, {}, {"b >=2", "disk <2"});
    graph.add("b", {1, 9, 0}, {});
    graph.add("c", {2, 0, 0}, {}, {"disk"});
    EXPECT_EQ(graph.conflict(), "none");
    graph.add("d", {1, 5, 0}, {}, {"disk"});
    EXPECT_EQ(graph.conflict(), "a, which conflicts with d 1.5.0");
    EXPECT_EQ(graph.error(), ErrorCode{});  // an order there would be
}

TEST(Conflicts, AreNoneWithWhatAModuleProvidesItself) {
    Graph graph;
    graph.add("a", {1, 0, 0}, {}, {"disk"}, {"disk", "a"});
    EXPECT_EQ(graph.conflict(), "none");
    graph.add("b", {1, 0, 0}, {}, {"disk"});
    EXPECT_EQ(graph.conflict(), "a, which conflicts with b 1.0.0");
}

TEST(Conflicts, NameWhoNeedsTheTwo) {
    Graph graph;
    graph.add("top", {1, 0, 0}, {"middle"});
    graph.add("middle", {1, 0, 0}, {"a"});
    graph.add("a", {1, 0, 0}, {}, {}, {"b"});
    graph.add("other", {1, 0, 0}, {"b"});
    graph.add("b", {1, 0, 0}, {});
    EXPECT_EQ(graph.conflict(), "top needs middle needs a, which conflicts with b 1.0.0 (other needs b)");
}

TEST(Resolver, WhatIsOptionalOrdersWhereItIsThere) {
    Graph graph;
    graph.can_use(graph.add("a"), {"b >=1", "missing", "c >=2"});
    graph.add("b");
    graph.add("c");
    EXPECT_EQ(graph.order(), "b a c");  // nobody misses what is not there, or is too old
}

TEST(Resolver, WhatIsOptionalWaitsForNoCircle) {
    Graph graph;
    graph.can_use(graph.add("a"), {"b", "a"});
    graph.add("b", {"a"});
    EXPECT_EQ(graph.order(), "a b");
    graph.can_use(graph.add("c"), {"d"});
    graph.can_use(graph.add("d"), {"c"});
    EXPECT_EQ(graph.order(), "a b c d");
}

}  // namespace
}  // namespace helix::kernel

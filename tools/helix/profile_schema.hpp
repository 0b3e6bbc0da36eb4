// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Every key that a helix.toml may hold: its type, its range, and what it does here.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace helix::tool {

enum class KeyType { Integer, Boolean, String, StringList, Inline };

struct ProfileKey {
    std::string_view path;  ///< dotted: "memory.heap_size_kb"
    KeyType type;
    int64_t minimum = 0;       ///< of integers, inclusive
    int64_t maximum = 0;       ///< of integers, inclusive; not above minimum: no upper bound
    std::string_view choices;  ///< of strings: what is allowed, separated by '|'; empty: anything
    std::string_view reason;   ///< why the key has no effect; empty: it has one
    /// Values, separated by '|', that describe what Helix does anyhow: no notice for them.
    std::string_view already = {};

    bool has_effect() const { return reason.empty(); }
};

/// All keys, table by table. Options of modules (in [scheduler], [allocator] and [module."NAME"]) come on top: they
/// are declared by the modules.
std::span<const ProfileKey> profile_keys();

/// A key of [module."NAME"], and of [modules] for all of them, that says how the kernel looks after a module.
struct SupervisionKey {
    enum class Takes { Restart, Count, Duration, LongerDuration };

    std::string_view name;
    Takes takes;
    uint64_t limit = 0;  ///< of a count, inclusive

    /// What the key takes, for a sentence, if it does not take `value`; else empty.
    std::string refusal(const std::string& value) const;
};
std::span<const SupervisionKey> supervision_keys();
const SupervisionKey* find_supervision_key(std::string_view name);

/// What is wrong with a word of the kernel's command line, in a sentence; empty if the kernel knows it.
std::string boot_word_problem(std::string_view word);

}  // namespace helix::tool

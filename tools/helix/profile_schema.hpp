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

/// What is wrong with a word of the kernel's command line, in a sentence; empty if the kernel knows it.
std::string boot_word_problem(std::string_view word);

}  // namespace helix::tool

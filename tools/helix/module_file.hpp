// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A `.hmod` file as the tool sees it: all that can be read without running or relocating any of it.
#pragma once

#include "helix/abi.hpp"

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace helix::tool {

struct ModuleSegment {
    uint64_t address;
    uint64_t memory_size;
    uint64_t file_offset;
    uint64_t file_size;
    bool read, write, execute;
};

struct ModuleFile {
    std::filesystem::path path;
    std::string bytes;
    uint16_t machine = 0;  ///< ELF e_machine
    std::vector<ModuleSegment> segments;
    std::map<std::string, size_t> relocations;  ///< how many of each kind
    std::vector<std::string> undefined_symbols;
    uint32_t abi_version = 0;
    uint32_t abi_fingerprint = 0;
    bool described = false;  ///< the fields below are readable, because their layout is the one this tool knows
    ModuleInfo info;
    std::vector<Option> options;
    std::vector<InterfaceEntry> interfaces;
    std::string refusal;  ///< why this kernel's loader would refuse the file; empty when it would not

    std::string name() const { return std::string(std::string_view(info.name())); }
    /// What the profile calls this instance of the module.
    std::string instance_name() const { return instance.empty() ? name() : instance; }
    std::string instance;  ///< empty: the module's own name
    /// The declared option `key`, or null.
    const Option* option(std::string_view key) const;
    bool implements(std::string_view interface) const;
};

/// Reads `path`. Throws Failure, naming file, reason and remedy, when it is no module at all; what is a module that
/// this kernel would not load comes back with `refusal` set.
ModuleFile read_module_file(const std::filesystem::path& path);
/// The same from bytes; `path` serves messages only.
ModuleFile parse_module_file(std::string bytes, const std::filesystem::path& path);

std::string describe(Version version);
std::vector<std::string> flag_names(ModuleFlags flags);
std::string_view type_name(OptionType type);

inline std::string to_string(Text text) {
    return std::string(text.data(), text.size());
}
inline Text to_text(std::string_view text) {
    return {text.data(), text.size()};
}

}  // namespace helix::tool

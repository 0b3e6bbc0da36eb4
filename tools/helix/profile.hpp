// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A profile: what a helix.toml says, checked against the schema but not yet against the modules.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace helix::tool {

enum class Architecture { X86_64, Hosted };
std::string_view name_of(Architecture architecture);

/// Where something stands in the file; both count from 1.
struct Position {
    uint32_t line = 0;
    uint32_t column = 0;
};

/// A value as the kernel will read it, and where it stands.
struct Setting {
    std::string value;
    Position at;
    Position key_at;
    /// For keys of the published schema that a module may or may not declare: why nothing happens if not.
    std::string reason;
};

struct ModuleReference {
    std::string name;  ///< as written
    Position at;
};

/// What [scheduler] or [allocator] says about one interface.
struct SlotSettings {
    std::string interface;  ///< "helix.scheduler"
    std::string prefix;     ///< "helix-scheduler-": what a short module name leaves out
    std::optional<ModuleReference> module;
    std::map<std::string, Setting> options;
};

/// What [module."NAME"] says.
struct ModuleSettings {
    Position at;
    std::map<std::string, Setting> options;
    std::optional<std::filesystem::path> file;
    std::optional<ModuleReference> instance_of;      ///< another module, of which this is one more instance
    std::string probation;                           ///< a duration; empty: the profile's, or the kernel's own
    std::map<std::string, std::string> supervision;  ///< `restart` and its like, for the kernel
    Position checkpoint_at;                          ///< of that key, if it is among them
};

struct Profile {
    std::filesystem::path file;
    std::string name;
    std::string version;
    std::string description;
    std::string target;
    std::string author;
    Architecture primary = Architecture::X86_64;
    std::vector<std::string> supported;
    uint64_t minimum_memory_mb = 0;
    uint64_t maximum_memory_mb = 0;  ///< 0: no limit
    std::vector<ModuleReference> static_modules;
    std::vector<ModuleReference> dynamic_modules;
    std::vector<ModuleReference> loaded_modules;  ///< of the dynamic ones, those that are loaded at boot
    std::vector<SlotSettings> slots;
    std::map<std::string, ModuleSettings> modules;
    std::string command_line;
    std::map<std::string, std::string> kernel_keys;  ///< "kernel.stack_size_kb" and the like, for the kernel
    bool keep_symbols = false;
    std::vector<std::string> notices;  ///< what the person should know, each with its place

    /// "file:line:column: sentence".
    std::string located(Position at, std::string_view sentence) const;
};

/// A name under `profiles`, a folder with a helix.toml, or such a file. Throws Failure(Usage) when there is none.
std::filesystem::path find_profile(const std::filesystem::path& profiles, std::string_view name);

/// Throws Failure(Failed) with a line "file:line:column: …" for each mistake.
Profile load_profile(const std::filesystem::path& file);
Profile parse_profile(std::string_view text, const std::filesystem::path& file);

}  // namespace helix::tool

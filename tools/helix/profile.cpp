// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Reading a helix.toml.

#include "profile.hpp"

#include "failure.hpp"
#include "files.hpp"
#include "profile_schema.hpp"
#include "text.hpp"

#include "helix/units.hpp"
#include "kernel/module/text_rules.hpp"

#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include <algorithm>

namespace helix::tool {

namespace fs = std::filesystem;

constexpr size_t kMaximumName = 46;  // of a module

std::string_view name_of(Architecture architecture) {
    return architecture == Architecture::X86_64 ? "x86_64" : "hosted";
}

std::string Profile::located(Position at, std::string_view sentence) const {
    return fmt::format("{}:{}:{}: {}", file.string(), at.line, at.column, sentence);
}

namespace {

Position position_of(const toml::source_region& region) {
    return {region.begin.line, region.begin.column};
}

std::string_view type_name(const toml::node& node) {
    switch (node.type()) {
        case toml::node_type::table: return "a table";
        case toml::node_type::array: return "an array";
        case toml::node_type::string: return "a string";
        case toml::node_type::integer: return "an integer";
        case toml::node_type::floating_point: return "a floating-point number";
        case toml::node_type::boolean: return "a boolean";
        default: return "a date or time";
    }
}

std::string_view type_name(KeyType type) {
    switch (type) {
        case KeyType::Integer: return "an integer";
        case KeyType::Boolean: return "true or false";
        case KeyType::String: return "a string";
        case KeyType::StringList: return "an array of strings";
        case KeyType::Inline: return "a table";
    }
    return "";
}

bool is_duration(std::string_view text) {
    uint64_t nanoseconds = 0;
    return parse_duration(Text(text.data(), text.size()), nanoseconds);
}

/// A scalar as text, nothing for anything else.
std::optional<std::string> scalar(const toml::node& node) {
    if (const auto value = node.value_exact<std::string>()) return value;
    if (const auto value = node.value_exact<int64_t>()) return std::to_string(*value);
    if (const auto value = node.value_exact<bool>()) return *value ? "true" : "false";
    return std::nullopt;
}

/// Walks the document once, checking every key; then takes out what the tool uses.
class Parser {
public:
    Parser(const toml::table& root, const fs::path& file) : root_(root) { profile_.file = file; }

    Profile parse() {
        walk(root_, "");
        if (errors_.empty()) extract();
        if (!errors_.empty()) throw Failure(ExitStatus::Failed, join(errors_, "\n"));
        return std::move(profile_);
    }

private:
    void error(Position at, std::string_view sentence) { errors_.push_back(profile_.located(at, sentence)); }
    void error(const toml::node& at, std::string_view sentence) { error(position_of(at.source()), sentence); }
    void notice(Position at, std::string_view sentence) {
        profile_.notices.push_back(profile_.located(at, fmt::format("notice: {}", sentence)));
    }

    static const ProfileKey* find_key(std::string_view path) {
        for (const ProfileKey& key : profile_keys())
            if (key.path == path) return &key;
        return nullptr;
    }
    static bool is_table_path(std::string_view path) {
        return std::ranges::any_of(profile_keys(), [&](const ProfileKey& key) {
            return key.path.size() > path.size() && key.path.starts_with(path) && key.path[path.size()] == '.';
        });
    }
    /// The names that may stand in the table `path`.
    static std::vector<std::string> names_in(std::string_view path) {
        std::vector<std::string> names;
        if (path.empty()) names.push_back("module");
        for (const ProfileKey& key : profile_keys()) {
            std::string_view rest = key.path;
            if (!path.empty()) {
                if (!rest.starts_with(path) || rest.size() <= path.size() || rest[path.size()] != '.') continue;
                rest.remove_prefix(path.size() + 1);
            }
            const std::string name(rest.substr(0, rest.find('.')));
            if (std::ranges::find(names, name) == names.end()) names.push_back(name);
        }
        return names;
    }

    void walk(const toml::table& table, const std::string& prefix) {
        for (const auto& [key, node] : table) {
            const std::string name(key.str());
            const std::string path = prefix.empty() ? name : prefix + "." + name;
            const Position at = position_of(key.source());
            if (path == "module") {
                walk_modules(node);
            } else if (const ProfileKey* known = find_key(path)) {
                if (is_module_list(path) && node.is_table())
                    continue;  // the published form with a table of lists; read in module_list()
                check(*known, node, at);
            } else if (is_table_path(path)) {
                if (const toml::table* inner = node.as_table())
                    walk(*inner, path);
                else
                    error(node, fmt::format("\"{}\" is {}, but it is a table", path, type_name(node)));
            } else if (prefix == "scheduler" || prefix == "allocator") {
                if (!scalar(node))
                    error(node, fmt::format("\"{}\" is {}; an option is a string, an integer or a boolean", path,
                                            type_name(node)));
            } else {
                error(at, fmt::format("unknown key \"{}\"{}", name, did_you_mean(name, names_in(prefix))));
            }
        }
    }

    void check(const ProfileKey& key, const toml::node& node, Position at) {
        const auto wrong_type = [&] {
            error(node, fmt::format("\"{}\" is {}, but it takes {}", key.path, type_name(node), type_name(key.type)));
        };
        std::string text;
        switch (key.type) {
            case KeyType::Integer: {
                const auto value = node.value_exact<int64_t>();
                if (!value) return wrong_type();
                const bool bounded = key.maximum > key.minimum;
                if (*value < key.minimum || (bounded && *value > key.maximum))
                    return error(node, fmt::format("\"{}\" is {}, but it takes {} {}", key.path, *value,
                                                   bounded ? "an integer from" : "an integer of at least",
                                                   bounded ? fmt::format("{} to {}", key.minimum, key.maximum)
                                                           : std::to_string(key.minimum)));
                text = std::to_string(*value);
                break;
            }
            case KeyType::Boolean: {
                const auto value = node.value_exact<bool>();
                if (!value) return wrong_type();
                text = *value ? "true" : "false";
                break;
            }
            case KeyType::String: {
                // opt_level is a number or a letter in the published profiles.
                const auto value = key.path == "build.opt_level" ? scalar(node) : node.value_exact<std::string>();
                if (!value) return wrong_type();
                text = *value;
                const std::vector<std::string> choices = split(key.choices, '|');
                if (!key.choices.empty() && std::ranges::find(choices, text) == choices.end())
                    return error(node, fmt::format("\"{}\" is \"{}\", but it takes one of {}{}", key.path, text,
                                                   join(choices, ", "), did_you_mean(text, choices)));
                if (text.find_first_of("\n\r\0") != std::string::npos)
                    return error(node, fmt::format("\"{}\" must be one line", key.path));
                break;
            }
            case KeyType::StringList: {
                const toml::array* array = node.as_array();
                if (array == nullptr) return wrong_type();
                for (const toml::node& element : *array)
                    if (!element.is_string())
                        error(element,
                              fmt::format("\"{}\" holds {}, but it takes strings", key.path, type_name(element)));
                break;
            }
            case KeyType::Inline:
                if (!node.is_table()) return wrong_type();
                break;
        }
        if (key.has_effect() || key.path.starts_with("scheduler.")) return;  // scheduler: see slot()
        const std::vector<std::string> already = split(key.already, '|');
        if (key.already.empty() || std::ranges::find(already, text) == already.end())
            notice(at, fmt::format("\"{}\" has no effect: {}", key.path, key.reason));
    }

    static bool is_module_list(std::string_view path) { return path == "modules.static" || path == "modules.dynamic"; }

    void walk_modules(const toml::node& node) {
        const toml::table* modules = node.as_table();
        if (modules == nullptr) return error(node, "\"module\" is a table: [module.\"NAME\"]");
        for (const auto& [key, inner] : *modules) {
            const std::string name(key.str());
            const toml::table* table = inner.as_table();
            if (table == nullptr) {
                error(inner,
                      fmt::format("\"module.{}\" is {}, but it is a table: [module.\"NAME\"]", name, type_name(inner)));
                continue;
            }
            ModuleSettings& settings = profile_.modules[name];
            settings.at = position_of(key.source());
            for (const auto& [option, value] : *table) module_key(name, settings, option, value);
        }
    }

    /// A key of the supervision, in the table of a module or of all.
    void supervise(const SupervisionKey& key, const std::string& name, const toml::node& node,
                   std::map<std::string, std::string>& out) {
        const std::string text = scalar(node).value_or("");
        if (const std::string wanted = key.refusal(text); !wanted.empty())
            error(node, fmt::format("\"{}\" takes {}", name, wanted));
        else
            out[std::string(key.name)] = text;
    }

    void module_key(const std::string& name, ModuleSettings& settings, const toml::key& key, const toml::node& node) {
        const Position at = position_of(key.source());
        const std::optional<std::string> text = scalar(node);
        if (key.str() == "placement") {
            if (!text || (*text != "kernel" && *text != "userspace"))
                error(node, "\"placement\" takes \"kernel\" or \"userspace\"");
            else if (*text == "userspace")
                error(node, fmt::format("module \"{}\" cannot be placed in user space: not supported, ring 3 is not "
                                        "built yet; use placement = \"kernel\"",
                                        name));
        } else if (const SupervisionKey* known = find_supervision_key(key.str())) {
            supervise(*known, std::string(key.str()), node, settings.supervision);
            if (key.str() == "checkpoint") settings.checkpoint_at = at;
        } else if (key.str() == "probation") {
            if (!text || !is_duration(*text))
                error(node, "\"probation\" takes a duration such as \"2s\" or \"500ms\"");
            else
                settings.probation = *text;
        } else if (key.str() == "instance_of") {
            if (!node.is_string())
                error(node, "\"instance_of\" takes the name of a module");
            else if (!kernel::is_valid_name(Text(name.data(), name.size())) || name.size() > kMaximumName)
                error(at,
                      fmt::format("\"{}\" cannot name an instance: a name has letters, digits, '.', '_' and '-', at "
                                  "most {}",
                                  name, kMaximumName));
            else
                settings.instance_of = {*text, position_of(node.source())};
        } else if (key.str() == "file") {
            if (!node.is_string())
                error(node, "\"file\" takes the path of a .hmod file");
            else
                settings.file = profile_.file.parent_path() / *text;
        } else if (!text) {
            error(node, fmt::format("\"{}\" is {}; an option is a string, an integer or a boolean", key.str(),
                                    type_name(node)));
        } else {
            settings.options[std::string(key.str())] = {*text, position_of(node.source()), at, {}};
        }
    }

    // ---- Second pass: everything has its type now.

    std::string string_at(std::string_view path, std::string otherwise = {}) const {
        return root_.at_path(path).value_or(std::move(otherwise));
    }
    int64_t integer_at(std::string_view path, int64_t otherwise) const {
        return root_.at_path(path).value_or(otherwise);
    }

    std::vector<ModuleReference> module_list(std::string_view path) {
        std::vector<ModuleReference> out;
        const auto add = [&](const toml::node& node) {
            if (const auto name = node.value_exact<std::string>())
                out.push_back({*name, position_of(node.source())});
            else
                error(node, fmt::format("\"{}\" holds {}, but it takes names of modules", path, type_name(node)));
        };
        const auto node = root_.at_path(path);
        if (const toml::array* array = node.as_array()) {
            for (const toml::node& element : *array) add(element);
        } else if (const toml::table* table = node.as_table()) {
            for (const auto& [key, value] : *table) {
                if (const toml::array* inner = value.as_array()) {
                    for (const toml::node& element : *inner) add(element);
                } else {
                    add(value);
                }
            }
        }
        return out;
    }

    void slot(std::string_view table_name, std::string_view interface, std::string_view prefix,
              std::string_view module_key) {
        SlotSettings settings{std::string(interface), std::string(prefix), {}, {}};
        const toml::table* table = root_[table_name].as_table();
        if (table == nullptr) return;
        for (const auto& [key, node] : *table) {
            const ProfileKey* known = find_key(fmt::format("{}.{}", table_name, key.str()));
            if (key.str() == module_key) {
                settings.module = {*node.value_exact<std::string>(), position_of(node.source())};
            } else if (known == nullptr || !known->has_effect()) {
                // A key of the schema that no module declares earns a notice, any other an error; the plan decides.
                std::string value = *scalar(node);
                std::string reason;
                if (known != nullptr) {
                    const std::vector<std::string> already = split(known->already, '|');
                    const bool silent = !known->already.empty() && std::ranges::find(already, value) != already.end();
                    if (table_name == "allocator" || silent) continue;
                    reason = known->reason;
                }
                settings.options[std::string(key.str())] = {std::move(value), position_of(node.source()),
                                                            position_of(key.source()), std::move(reason)};
            }
        }
        profile_.slots.push_back(std::move(settings));
    }

    void extract() {
        Profile& out = profile_;
        fs::path folder = fs::absolute(out.file).parent_path().filename();
        out.name = string_at("profile.name", folder.string());
        if (out.name.find('/') != std::string::npos)  // files are named after it
            error(*root_.at_path("profile.name").node(), "a profile's name has no \"/\"");
        out.version = string_at("profile.version", "0.0.0");
        out.description = string_at("profile.description");
        out.target = string_at("profile.target");
        out.author = string_at("profile.author");
        architecture();
        if (const auto userspace = root_.at_path("profile.features.userspace"); userspace.value_or(false))
            error(*userspace.node(), "user space is not supported: ring 3 is not built yet; set userspace = false");
        out.minimum_memory_mb = static_cast<uint64_t>(integer_at("memory.min_ram_mb", 0));
        out.maximum_memory_mb = static_cast<uint64_t>(integer_at("memory.max_ram_mb", 0));
        if (out.maximum_memory_mb != 0 && out.maximum_memory_mb < out.minimum_memory_mb)
            error(*root_.at_path("memory.max_ram_mb").node(), "max_ram_mb is below min_ram_mb");
        out.static_modules = module_list("modules.static");
        out.dynamic_modules = module_list("modules.dynamic");
        out.loaded_modules = module_list("boot.load");
        slot("scheduler", "helix.scheduler", "helix-scheduler-", "module");
        slot("allocator", "helix.allocator", "helix-allocator-", "heap");
        out.command_line = string_at("boot.cmdline");
        for (const std::string& word : words(out.command_line))
            if (const std::string problem = boot_word_problem(word); !problem.empty())
                notice(position_of(root_.at_path("boot.cmdline").node()->source()), problem);
        for (const SupervisionKey& key : supervision_keys()) {
            const std::string path = fmt::format("modules.{}", key.name);
            std::map<std::string, std::string> found;
            if (const auto node = root_.at_path(path)) supervise(key, path, *node.node(), found);
            for (const auto& [name, value] : found) out.kernel_keys["kernel." + name] = value;
        }
        if (const std::string probation = string_at("modules.probation"); !probation.empty()) {
            if (!is_duration(probation))
                error(*root_.at_path("modules.probation").node(),
                      "\"modules.probation\" takes a duration such as \"2s\" or \"500ms\"");
            out.kernel_keys["kernel.probation"] = probation;
        }
        if (const auto watchdog = root_.at_path("scheduler.watchdog").value<std::string>()) {
            uint64_t ns = 0;
            if (!parse_duration(Text(watchdog->data(), watchdog->size()), ns) || ns < 10'000'000 || ns > 60'000'000'000)
                error(*root_.at_path("scheduler.watchdog").node(),
                      "\"scheduler.watchdog\" takes a duration from 10ms to 60s");
            out.kernel_keys["kernel.watchdog_ms"] = std::to_string(ns / 1'000'000);
        }
        for (const char* key : {"profile.features.multicore", "profile.features.smp"})
            if (!root_.at_path(key).value_or(true)) out.kernel_keys["kernel.maximum_cpus"] = "1";
        if (const int64_t size = integer_at("memory.stack_size_kb", 0); size != 0)
            out.kernel_keys["kernel.stack_size_kb"] = std::to_string(size);
        if (const std::string behavior = string_at("debug.panic_behavior"); !behavior.empty())
            out.kernel_keys["debug.panic_behavior"] = behavior;
        if (const auto entries = root_.at_path("debug.trace_entries").value<int64_t>())
            out.kernel_keys["debug.trace_entries"] = std::to_string(*entries);
        if (const std::string level = log_level(); !level.empty()) out.kernel_keys["console.log_level"] = level;
        out.keep_symbols = root_.at_path("debug.symbols").value_or(!root_.at_path("build.strip").value_or(true));
    }

    /// From which level on log lines appear on the console: said directly, or by how much there is to debug.
    std::string log_level() const {
        static const std::map<std::string, std::string> kByDebugLevel{
            {"none", "error"}, {"minimal", "error"}, {"normal", "warning"}, {"verbose", "info"}, {"trace", "debug"}};
        const std::string level = string_at("console.log_level");
        if (!level.empty()) return level == "warn" ? "warning" : level;
        const auto found = kByDebugLevel.find(string_at("debug.level"));
        return found == kByDebugLevel.end() ? std::string() : found->second;
    }

    void architecture() {
        const std::string primary = string_at("profile.arch.primary", "x86_64");
        if (primary == "aarch64" || primary == "riscv64")
            error(*root_.at_path("profile.arch.primary").node(),
                  fmt::format("the port to {} is not built yet; use \"x86_64\" or \"hosted\"", primary));
        profile_.primary = primary == "hosted" ? Architecture::Hosted : Architecture::X86_64;
        const auto supported = root_.at_path("profile.arch.supported");
        if (const toml::array* array = supported.as_array()) {
            for (const toml::node& node : *array) {
                const std::string name = node.value_or(std::string());
                if (name == "aarch64" || name == "riscv64")
                    notice(position_of(node.source()), fmt::format("the port to {} is not built yet", name));
                else if (name != "x86_64" && name != "hosted")
                    error(node,
                          fmt::format("unknown architecture \"{}\"; x86_64, hosted, aarch64 and riscv64 are known",
                                      name));
                profile_.supported.push_back(name);
            }
        }
    }

    const toml::table& root_;
    Profile profile_;
    std::vector<std::string> errors_;
};

}  // namespace

fs::path find_profile(const fs::path& profiles, std::string_view name) {
    const fs::path given(name);
    std::error_code ignored;
    if (name.find('/') == std::string_view::npos && fs::is_regular_file(profiles / given / "helix.toml", ignored))
        return profiles / given / "helix.toml";
    if (fs::is_regular_file(given, ignored)) return given;
    if (fs::is_regular_file(given / "helix.toml", ignored)) return given / "helix.toml";
    std::vector<std::string> known;
    for (const auto& entry : fs::directory_iterator(profiles, ignored))
        if (fs::is_regular_file(entry.path() / "helix.toml", ignored))
            known.push_back(entry.path().filename().string());
    std::ranges::sort(known);
    if (fs::is_directory(given, ignored)) throw Failure(ExitStatus::Usage, "{}: the folder holds no helix.toml", name);
    throw Failure(ExitStatus::Usage, "no profile \"{}\"{} (there is {}; a folder or a helix.toml file will do too)",
                  name, did_you_mean(name, known), known.empty() ? "none" : join(known, ", "));
}

Profile load_profile(const fs::path& file) {
    return parse_profile(read_file(file), file);
}

Profile parse_profile(std::string_view text, const fs::path& file) {
    if (text.starts_with("\x7f"
                         "ELF"))
        throw Failure(ExitStatus::Failed,
                      "{}: this is a module, not a profile; `run PROFILE --file {}` brings it along", file.string(),
                      file.string());
    toml::table root;
    try {
        root = toml::parse(text, file.string());
    } catch (const toml::parse_error& error) {
        throw Failure(ExitStatus::Failed, "{}:{}:{}: {}", file.string(), error.source().begin.line,
                      error.source().begin.column, error.description());
    }
    return Parser(root, file).parse();
}

}  // namespace helix::tool

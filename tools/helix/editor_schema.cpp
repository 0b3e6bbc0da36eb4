// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What editors complete a helix.toml from.

#include "editor_schema.hpp"

#include "failure.hpp"
#include "profile_schema.hpp"
#include "text.hpp"

#include "helix/units.hpp"

#include <nlohmann/json.hpp>

namespace helix::tool {

namespace {

using Json = nlohmann::ordered_json;

Json described(std::string_view type, std::string_view description) {
    return {{"type", type}, {"description", description}};
}

/// The table at `path`, whose parts are separated by dots, made where it is missing.
Json& table_at(Json& root, std::string_view path) {
    Json* table = &root;
    for (const std::string& part : split(path, '.')) {
        Json& inner = (*table)["properties"][part];
        inner["type"] = "object";
        table = &inner;
    }
    return *table;
}

Json schema_of(const ProfileKey& key) {
    Json out;
    switch (key.type) {
        case KeyType::Integer:
            out["type"] = "integer";
            if (key.minimum != 0 || key.maximum != 0) out["minimum"] = key.minimum;
            if (key.maximum > key.minimum) out["maximum"] = key.maximum;
            break;
        case KeyType::Boolean: out["type"] = "boolean"; break;
        case KeyType::String:
            out["type"] = "string";
            if (!key.choices.empty()) out["enum"] = split(key.choices, '|');
            break;
        case KeyType::StringList: {
            const Json names = {{"type", "array"}, {"items", {{"type", "string"}}}};
            out["anyOf"] = {names, {{"type", "object"}, {"additionalProperties", names}}};
            break;
        }
        case KeyType::Inline: out["type"] = "object"; break;
    }
    if (!key.has_effect()) out["description"] = fmt::format("No effect: {}.", key.reason);
    return out;
}

Json schema_of(const Option& option) {
    Json out;
    const std::string written = to_string(option.default_value.text());
    out["default"] = written;
    switch (option.type) {
        case OptionType::Integer:
            out["type"] = "integer";
            if (int64_t number = 0; parse_integer(option.default_value.text(), number)) out["default"] = number;
            if (option.minimum != INT64_MIN) out["minimum"] = option.minimum;
            if (option.maximum != INT64_MAX) out["maximum"] = option.maximum;
            break;
        case OptionType::Boolean:
            out["type"] = "boolean";
            out["default"] = written == "true";
            break;
        case OptionType::Size: out["type"] = {"integer", "string"}; break;
        case OptionType::Duration:
        case OptionType::String: out["type"] = "string"; break;
    }
    out["description"] = to_string(option.documentation.text());
    return out;
}

/// What each module's table may hold beside its options.
void add_common_keys(Json& properties) {
    properties["file"] = described("string", "The module's file, relative to the profile.");
    properties["instance_of"] = described("string", "The module of which this table describes one more instance.");
    properties["placement"] = {{"type", "string"}, {"enum", {"kernel", "userspace"}}};
    // How it is looked after: what [modules] says for all of them.
    constexpr std::string_view kForAll = "modules.";
    for (const ProfileKey& key : profile_keys()) {
        if (!key.path.starts_with(kForAll)) continue;
        const std::string name(key.path.substr(kForAll.size()));
        if (find_supervision_key(name) != nullptr) properties[name] = schema_of(key);
    }
    properties["probation"] = described("string", "How long a replacement is watched: a duration such as \"2s\".");
}

}  // namespace

std::string editor_schema(const ModuleLibrary& library) {
    Json out = {{"$schema", "http://json-schema.org/draft-07/schema#"},
                {"title", "helix.toml: a profile of Helix"},
                {"type", "object"}};
    for (const ProfileKey& key : profile_keys()) {
        const size_t dot = key.path.rfind('.');
        table_at(out, key.path.substr(0, dot))["properties"][std::string(key.path.substr(dot + 1))] = schema_of(key);
    }
    Json& modules = table_at(out, "module");
    for (const std::string& name : library.names()) {
        ModuleFile file;
        try {
            file = read_module_file(library.find(name));
        } catch (const Failure&) {
            continue;  // no module at all
        }
        if (!file.described || !file.refusal.empty()) continue;
        Json& table = modules["properties"][file.name()];
        table = described("object", to_string(file.info.description()));
        add_common_keys(table["properties"]);
        for (const Option& option : file.options) {
            const std::string key = to_string(option.key.text());
            table["properties"][key] = schema_of(option);
            // What an interface's table says reaches the module that fills it. Of several that declare the key, each
            // with a range of its own, none is told here.
            for (const char* interface : {"scheduler", "allocator"}) {
                if (!file.implements(std::string("helix.") + interface)) continue;
                Json common = schema_of(option);
                for (const char* own : {"minimum", "maximum", "default"}) common.erase(own);
                table_at(out, interface)["properties"][key] = common;
            }
        }
    }
    // An instance has a name that its profile chose, and the options of its module.
    Json& instance = modules["additionalProperties"];
    instance = described("object", "One more instance of a module, or a module that is not in this build.");
    add_common_keys(instance["properties"]);
    // A text in a file that somebody else wrote need not be UTF-8.
    return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace helix::tool

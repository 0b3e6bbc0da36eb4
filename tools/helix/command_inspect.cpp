// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// `helix module inspect`: everything that a `.hmod` file says about itself. Nothing of it is run.

#include "commands.hpp"
#include "failure.hpp"
#include "text.hpp"

#include "kernel/module/options.hpp"

#include <nlohmann/json.hpp>

#include <elf.h>

namespace helix::tool {

namespace {

using Json = nlohmann::ordered_json;

std::string permissions(const ModuleSegment& segment) {
    return {segment.read ? 'r' : '-', segment.write ? 'w' : '-', segment.execute ? 'x' : '-'};
}

std::string machine_name(uint16_t machine) {
    return machine == EM_X86_64 ? "x86_64" : fmt::format("ELF machine {}", machine);
}

template <typename List>
std::vector<std::string> texts(const List& list) {
    std::vector<std::string> out;
    for (size_t i = 0; i < list.size(); ++i) out.push_back(to_string(list[i]));
    return out;
}

/// An end of the range as a person reads it; empty when it is open.
std::string bound(const Option& option, int64_t value) {
    if (value == INT64_MIN || value == INT64_MAX) return {};
    return to_string(kernel::describe_bound(option, value).text());
}
bool has_range(const Option& option) {
    return option.type != OptionType::Boolean && option.type != OptionType::String;
}

Json option_json(const Option& option) {
    Json out{{"key", to_string(option.key.text())},
             {"type", type_name(option.type)},
             {"default", to_string(option.default_value.text())}};
    if (has_range(option) && option.minimum != INT64_MIN) out["minimum"] = option.minimum;
    if (has_range(option) && option.maximum != INT64_MAX) out["maximum"] = option.maximum;
    out["documentation"] = to_string(option.documentation.text());
    return out;
}

std::string as_json(const ModuleFile& file) {
    Json out;
    out["file"] = file.path.string();
    out["size"] = file.bytes.size();
    out["machine"] = machine_name(file.machine);
    out["abi"] = {{"version", file.abi_version},
                  {"fingerprint", fmt::format("{:08x}", file.abi_fingerprint)},
                  {"spoken", file.abi_version == kAbiVersion && file.abi_fingerprint == kAbiFingerprint}};
    out["loadable"] = file.refusal.empty();
    if (!file.refusal.empty()) out["refusal"] = file.refusal;
    if (file.described) {
        const ModuleInfo& info = file.info;
        out["name"] = file.name();
        out["version"] = describe(info.version());
        out["description"] = to_string(info.description());
        out["author"] = to_string(info.author());
        out["license"] = to_string(info.license());
        out["flags"] = flag_names(info.flags());
        out["dependencies"] = texts(info.dependencies());
        out["optional"] = texts(info.optional());
        out["provides"] = texts(info.provides());
        out["conflicts"] = texts(info.conflicts());
        out["state_schema"] = info.state_schema();
        out["state_format"] = to_string(info.state_format());
        out["interfaces"] = Json::array();
        for (const InterfaceEntry& entry : file.interfaces)
            out["interfaces"].push_back(
                {{"name", to_string(entry.name.text())}, {"version", fmt::format("{}.{}", entry.major, entry.minor)}});
        out["options"] = Json::array();
        for (const Option& option : file.options) out["options"].push_back(option_json(option));
    }
    out["segments"] = Json::array();
    for (const ModuleSegment& segment : file.segments)
        out["segments"].push_back({{"address", segment.address},
                                   {"memory_size", segment.memory_size},
                                   {"file_offset", segment.file_offset},
                                   {"file_size", segment.file_size},
                                   {"permissions", permissions(segment)}});
    out["relocations"] = file.relocations;
    out["undefined_symbols"] = file.undefined_symbols;
    // A text in a damaged file need not be UTF-8.
    return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string as_text(const Console& console, const ModuleFile& file) {
    std::string out;
    const auto row = [&](std::string_view label, std::string_view value) {
        if (!value.empty()) out += fmt::format("{:<14}{}\n", label, value);
    };
    if (file.described) {
        const ModuleInfo& info = file.info;
        row("module", console.styled(Style::Bold, file.name() + " " + describe(info.version())));
        row("description", to_string(info.description()));
        row("author", to_string(info.author()));
        row("license", to_string(info.license()));
        row("flags", join(flag_names(info.flags()), ", "));
        row("needs", join(texts(info.dependencies()), "; "));
        row("can use", join(texts(info.optional()), "; "));
        row("provides", join(texts(info.provides()), ", "));
        row("conflicts", join(texts(info.conflicts()), "; "));
        for (const InterfaceEntry& entry : file.interfaces)
            row("interface", fmt::format("{} {}.{}", to_string(entry.name.text()), entry.major, entry.minor));
        const bool shares = info.state_format() != info.name();
        row("state schema", fmt::format("{}{}{}", info.state_schema(), shares ? " of " : "",
                                        shares ? to_string(info.state_format()) : ""));
        for (const Option& option : file.options) {
            std::string range;
            if (has_range(option) && (option.minimum != INT64_MIN || option.maximum != INT64_MAX))
                range = fmt::format(" {}..{}", bound(option, option.minimum), bound(option, option.maximum));
            row("option",
                fmt::format("{} ({}{}, default \"{}\") {}", to_string(option.key.text()), type_name(option.type), range,
                            to_string(option.default_value.text()), to_string(option.documentation.text())));
        }
    }
    const bool spoken = file.abi_version == kAbiVersion && file.abi_fingerprint == kAbiFingerprint;
    row("abi", fmt::format("{} ({:08x}), {}", file.abi_version, file.abi_fingerprint,
                           spoken ? "spoken by this kernel"
                                  : fmt::format("this kernel speaks {} ({:08x})", kAbiVersion, kAbiFingerprint)));
    row("file",
        fmt::format("{}, {}, {}", file.path.string(), counted(file.bytes.size(), "byte"), machine_name(file.machine)));
    for (const ModuleSegment& segment : file.segments)
        row("segment", fmt::format("{:#08x} {} {:>7} bytes in memory, {:>7} in the file", segment.address,
                                   permissions(segment), segment.memory_size, segment.file_size));
    if (file.relocations.empty()) row("relocations", "none");
    for (const auto& [kind, count] : file.relocations) row("relocations", fmt::format("{} {}", count, kind));
    row("undefined", file.undefined_symbols.empty() ? "none" : join(file.undefined_symbols, ", "));
    row("loadable", file.refusal.empty() ? console.styled(Style::Green, "yes")
                                         : console.styled(Style::Red, "no") + ": " + file.refusal);
    return out;
}

}  // namespace

int command_inspect(Session& session, const InspectOptions& options) {
    std::error_code ignored;
    if (!std::filesystem::exists(options.file, ignored)) {
        const ModuleLibrary library(session.workspace.modules());
        const std::filesystem::path known = library.find(options.file);
        if (known.empty())
            throw Failure(ExitStatus::Failed, "{}: there is no such file, and the build has no such module{}",
                          options.file, did_you_mean(options.file, library.names()));
        return command_inspect(session, {known.string(), options.json});
    }
    const ModuleFile file = read_module_file(options.file);
    session.console.data(options.json ? as_json(file) + "\n" : as_text(session.console, file));
    if (!file.refusal.empty()) session.console.error(file.refusal);
    return file.refusal.empty() ? 0 : static_cast<int>(ExitStatus::Failed);
}

}  // namespace helix::tool

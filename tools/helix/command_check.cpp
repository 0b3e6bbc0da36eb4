// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// `helix check`: a profile's start order and dependency graph, or what is wrong with it.

#include "commands.hpp"
#include "editor_schema.hpp"
#include "failure.hpp"
#include "text.hpp"

#include <nlohmann/json.hpp>

namespace helix::tool {

namespace {

using Json = nlohmann::ordered_json;

std::vector<std::string> interfaces_of(const ModuleFile& module) {
    std::vector<std::string> out;
    for (const InterfaceEntry& entry : module.interfaces) out.push_back(to_string(entry.name.text()));
    return out;
}

bool is_primary(const BootPlan& plan, const ModuleFile& module) {
    for (const auto& [interface, name] : plan.primaries)
        if (name == module.instance_name()) return true;
    return false;
}

/// "1.2.3", and of which module it is an instance if its name does not say so.
std::string described_version(const ModuleFile& module) {
    const std::string version = describe(module.info.version());
    return module.instance.empty() ? version : fmt::format("{} of {}", version, module.name());
}

std::string as_json(const BootPlan& plan) {
    Json out;
    out["profile"] = plan.profile.name;
    out["version"] = plan.profile.version;
    out["file"] = plan.profile.file.string();
    out["modules"] = Json::array();
    for (size_t i = 0; i < plan.modules.size(); ++i) {
        const ModuleFile& module = plan.modules[i];
        Json needs = Json::array();
        for (const Dependency& dependency : plan.dependencies)
            if (dependency.from == i)
                needs.push_back({{"requirement", dependency.requirement},
                                 {"module", plan.modules[dependency.to].instance_name()},
                                 {"optional", dependency.optional}});
        out["modules"].push_back({{"name", module.instance_name()},
                                  {"module", module.name()},
                                  {"version", describe(module.info.version())},
                                  {"link", i < plan.static_count ? "static" : "dynamic"},
                                  {"flags", flag_names(module.info.flags())},
                                  {"provides", interfaces_of(module)},
                                  {"needs", needs}});
    }
    out["primaries"] = Json::object();
    for (const auto& [interface, module] : plan.primaries) out["primaries"][interface] = module;
    out["notices"] = plan.notices;
    return out.dump();
}

std::string as_dot(const BootPlan& plan) {
    const auto quoted = [](const std::string& text) { return Json(text).dump(); };
    std::string out = "digraph " + quoted(plan.profile.name) + " {\n    rankdir=BT;\n    node [shape=box];\n";
    for (size_t i = 0; i < plan.modules.size(); ++i) {
        const ModuleFile& module = plan.modules[i];
        out +=
            fmt::format("    {} [label={}{}{}];\n", quoted(module.instance_name()),
                        quoted(module.instance_name() + "\n" + describe(module.info.version())),
                        i < plan.static_count ? "" : ", style=dashed", is_primary(plan, module) ? ", penwidth=2" : "");
    }
    for (const Dependency& dependency : plan.dependencies)
        out += fmt::format("    {} -> {} [label={}{}];\n", quoted(plan.modules[dependency.from].instance_name()),
                           quoted(plan.modules[dependency.to].instance_name()), quoted(dependency.requirement),
                           dependency.optional ? ", style=dashed" : "");
    return out + "}\n";
}

std::string as_text(const Console& console, const BootPlan& plan) {
    const Profile& profile = plan.profile;
    std::string out = fmt::format("profile {} {}{}\n", console.styled(Style::Bold, profile.name), profile.version,
                                  profile.description.empty() ? "" : ": " + profile.description);
    const auto list = [&](std::string_view title, size_t begin, size_t end) {
        if (begin == end) return;
        out += fmt::format("\n{}\n", title);
        for (size_t i = begin; i < end; ++i) {
            const ModuleFile& module = plan.modules[i];
            const std::string provides = join(interfaces_of(module), ", ");
            out += fmt::format("  {:2}  {} {}{}\n", i - begin + 1, console.styled(Style::Bold, module.instance_name()),
                               described_version(module), provides.empty() ? "" : "  [" + provides + "]");
            for (const Dependency& dependency : plan.dependencies) {
                if (dependency.from != i) continue;
                const std::string provider = plan.modules[dependency.to].instance_name();
                const bool same = dependency.requirement == provider;
                out += fmt::format("        {} {}{}\n", dependency.optional ? "can use" : "needs",
                                   dependency.requirement, same ? "" : " → " + provider);
            }
        }
    };
    list("start order (static)", 0, plan.static_count);
    list("can be loaded (dynamic)", plan.static_count, plan.modules.size());
    if (!plan.primaries.empty()) out += "\nprimaries\n";
    for (const auto& [interface, module] : plan.primaries) out += fmt::format("  {} → {}\n", interface, module);
    return out;
}

}  // namespace

int command_check(Session& session, const CheckOptions& options) {
    const Workspace& workspace = session.workspace;
    if (options.schema) {
        session.console.data(editor_schema(ModuleLibrary(workspace.modules())) + "\n");
        return 0;
    }
    const BootPlan plan = make_plan(load_profile(Workspace::shown(find_profile(workspace.profiles(), options.profile))),
                                    ModuleLibrary(workspace.modules()));
    for (const std::string& notice : plan.notices) session.console.notice(notice);
    if (options.json)
        session.console.data(as_json(plan) + "\n");
    else if (options.dot)
        session.console.data(as_dot(plan));
    else
        session.console.data(as_text(session.console, plan));
    return 0;
}

}  // namespace helix::tool

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The plan of a boot.

#include "plan.hpp"

#include "failure.hpp"
#include "profile_schema.hpp"
#include "text.hpp"

#include "kernel/module/options.hpp"
#include "kernel/module/resolver.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace helix::tool {

namespace fs = std::filesystem;

fs::path ModuleLibrary::find(const std::string& name) const {
    const fs::path file = directory_ / (name + ".hmod");
    std::error_code ignored;
    return fs::is_regular_file(file, ignored) ? file : fs::path();
}

std::vector<std::string> ModuleLibrary::names() const {
    std::vector<std::string> names;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(directory_, ignored))
        if (entry.path().extension() == ".hmod") names.push_back(entry.path().stem().string());
    std::ranges::sort(names);
    return names;
}

namespace {

class Planner {
public:
    Planner(Profile profile, const ModuleLibrary& library) : library_(library) { plan_.profile = std::move(profile); }

    BootPlan make() {
        Profile& profile = plan_.profile;
        resolve_slot_names();
        for (const ModuleReference& reference : profile.static_modules) add(reference, true);
        for (const ModuleReference& reference : profile.dynamic_modules) add(reference, false);
        const bool all_are_read = errors_.empty();
        check_module_tables();
        if (all_are_read) check_dependencies();  // of one that is missing it is not known what it provides
        throw_errors();
        if (statics_.empty())
            throw Failure(ExitStatus::Failed,
                          "{}: no static module: without a scheduler nothing runs; list one in "
                          "[modules] static",
                          profile.file.string());
        order();
        choose_primaries();
        check_loaded_modules();
        check_slot_options();
        throw_errors();
        plan_.notices.insert(plan_.notices.begin(), profile.notices.begin(), profile.notices.end());
        return std::move(plan_);
    }

private:
    void error(Position at, std::string_view sentence) { errors_.push_back(plan_.profile.located(at, sentence)); }
    void throw_errors() const {
        if (!errors_.empty()) throw Failure(ExitStatus::Failed, join(errors_, "\n"));
    }

    /// [scheduler] module = "round_robin" means helix-scheduler-round-robin; a module that only stands there is built
    /// in.
    void resolve_slot_names() {
        Profile& profile = plan_.profile;
        for (SlotSettings& slot : profile.slots) {
            if (!slot.module) continue;
            std::string& name = slot.module->name;
            if (!is_listed(name) && library_.find(name).empty()) {
                std::string whole = slot.prefix + name;
                std::ranges::replace(whole, '_', '-');
                if (is_listed(whole) || !library_.find(whole).empty()) {
                    name = whole;
                } else {
                    std::vector<std::string> candidates;
                    for (const std::string& known : library_.names())
                        if (known.starts_with(slot.prefix)) candidates.push_back(known.substr(slot.prefix.size()));
                    std::ranges::for_each(candidates, [](std::string& c) { std::ranges::replace(c, '-', '_'); });
                    error(slot.module->at, fmt::format("no module \"{}\" or \"{}\" for {}{}", name, whole,
                                                       slot.interface, did_you_mean(name, candidates)));
                    continue;
                }
            }
            if (!is_listed(name)) profile.static_modules.push_back(*slot.module);
        }
    }
    bool is_listed(const std::string& name) const {
        const auto has = [&](const std::vector<ModuleReference>& list) {
            return std::ranges::any_of(list, [&](const ModuleReference& reference) {
                return reference.name == name || name_in(reference) == name;
            });
        };
        return has(plan_.profile.static_modules) || has(plan_.profile.dynamic_modules);
    }

    const ModuleSettings* settings_of(const std::string& name) const {
        const auto settings = plan_.profile.modules.find(name);
        return settings == plan_.profile.modules.end() ? nullptr : &settings->second;
    }
    fs::path file_of(const ModuleReference& reference) const {
        const ModuleSettings* const settings = settings_of(reference.name);
        if (settings != nullptr && settings->instance_of) return file_of(*settings->instance_of);
        if (settings != nullptr && settings->file) return *settings->file;
        if (reference.name.ends_with(".hmod")) return plan_.profile.file.parent_path() / reference.name;
        return library_.find(reference.name);
    }
    /// The name in a file that is listed by its path; empty for others, and where none can be read.
    std::string name_in(const ModuleReference& reference) const {
        if (!reference.name.ends_with(".hmod")) return {};
        try {
            const ModuleFile module = read_module_file(file_of(reference));
            return module.refusal.empty() ? std::string(module.name()) : std::string();
        } catch (const Failure&) {
            return {};  // add says why
        }
    }

    void add(const ModuleReference& listed, bool is_static) {
        const ModuleSettings* const settings = settings_of(listed.name);
        const bool is_instance = settings != nullptr && settings->instance_of;
        const ModuleReference& reference = is_instance ? *settings->instance_of : listed;
        if (is_instance && !check_instance(listed, *settings)) return;
        const fs::path file = file_of(reference);
        if (file.empty())
            return error(reference.at,
                         fmt::format("no module \"{}\" in {}{}", reference.name, library_.directory().string(),
                                     did_you_mean(reference.name, library_.names())));
        ModuleFile module;
        try {
            module = read_module_file(file);
        } catch (const Failure& failure) {
            return error(reference.at, failure.what());
        }
        if (!module.refusal.empty()) return error(reference.at, module.refusal);
        if (!reference.name.ends_with(".hmod") && module.name() != reference.name)
            return error(reference.at, fmt::format("{} holds module \"{}\", not \"{}\"", file.string(), module.name(),
                                                   reference.name));
        if (is_instance) module.instance = listed.name;
        for (const std::vector<ModuleFile>* others : {&statics_, &dynamics_})
            for (const ModuleFile& other : *others)
                if (other.instance_name() == module.instance_name())
                    return error(listed.at,
                                 fmt::format("module \"{0}\" is listed twice; one more instance has a name of "
                                             "its own, with [module.\"NAME\"] instance_of = \"{1}\"",
                                             module.instance_name(), module.name()));
        places_[module.instance_name()] = listed.at;
        (is_static ? statics_ : dynamics_).push_back(std::move(module));
    }

    /// What each module needs is there: of a static one among the static ones, of others anywhere. All that is missing
    /// is said, at the place where the profile names who needs it.
    void check_dependencies() {
        std::vector<const ModuleFile*> modules;
        const auto check = [&](const std::vector<ModuleFile>& more) {
            const size_t first = modules.size();
            for (const ModuleFile& module : more) modules.push_back(&module);
            const std::vector<kernel::ResolverNode> nodes = nodes_of(modules);
            std::vector<uint16_t> scratch(nodes.size());
            for (size_t i = first; i < nodes.size(); ++i) {
                for (size_t k = 0; k < nodes[i].info->dependencies().size(); ++k) {
                    const auto met =
                        kernel::check_dependency({nodes.data(), nodes.size()}, i, k, {scratch.data(), scratch.size()});
                    if (!met.ok()) error(places_.at(modules[i]->instance_name()), to_string(met.error().sentence()));
                }
            }
        };
        check(statics_);
        check(dynamics_);
    }

    /// Whether the table of an instance makes sense.
    bool check_instance(const ModuleReference& listed, const ModuleSettings& settings) {
        const ModuleSettings* const of = settings_of(settings.instance_of->name);
        std::string wrong;
        if (settings.file)
            wrong = fmt::format("it has the file of \"{}\"; take \"file\" out", settings.instance_of->name);
        else if (settings.instance_of->name == listed.name || (of != nullptr && of->instance_of))
            wrong = fmt::format("\"{}\" is itself an instance; name the module", settings.instance_of->name);
        else if (!library_.find(listed.name).empty())
            wrong = "a module has that name; take another";
        if (!wrong.empty()) error(settings.instance_of->at, fmt::format("instance \"{}\": {}", listed.name, wrong));
        return wrong.empty();
    }

    /// Static modules must stand alone: they run before anything can be loaded.
    void order() {
        std::vector<const ModuleFile*> modules;
        for (const ModuleFile& module : statics_) modules.push_back(&module);
        const std::vector<uint16_t> static_order = resolved(modules);
        // What boot loads is there as well. Other dynamic ones may be alternatives.
        std::vector<const ModuleFile*> booted = modules;
        for (const ModuleFile& module : dynamics_)
            for (const ModuleReference& reference : plan_.profile.loaded_modules)
                if (reference.name == module.instance_name()) booted.push_back(&module);
        std::vector<uint16_t> scratch(booted.size());
        const std::vector<kernel::ResolverNode> nodes = nodes_of(booted);
        require(kernel::check_conflicts({nodes.data(), nodes.size()}, {scratch.data(), scratch.size()}));
        for (uint16_t index : static_order) plan_.modules.push_back(*modules[index]);
        plan_.static_count = plan_.modules.size();

        modules.clear();
        for (const ModuleFile& module : plan_.modules) modules.push_back(&module);
        for (const ModuleFile& module : dynamics_) modules.push_back(&module);
        const std::vector<uint16_t> whole_order = resolved(modules);
        std::vector<ModuleFile> later;
        for (uint16_t index : whole_order)
            if (index >= plan_.static_count) later.push_back(*modules[index]);
        for (ModuleFile& module : later) plan_.modules.push_back(std::move(module));
        find_dependencies();
    }

    static std::vector<kernel::ResolverNode> nodes_of(const std::vector<const ModuleFile*>& modules) {
        std::vector<kernel::ResolverNode> nodes;
        for (const ModuleFile* module : modules) {
            const std::string& instance = module->instance;
            const Text name = instance.empty() ? module->info.name() : Text(instance.data(), instance.size());
            nodes.push_back({name, module->info.version(), &module->info});
        }
        return nodes;
    }

    std::vector<uint16_t> resolved(const std::vector<const ModuleFile*>& modules) const {
        const std::vector<kernel::ResolverNode> nodes = nodes_of(modules);
        std::vector<uint16_t> order(nodes.size());
        require(kernel::resolve({nodes.data(), nodes.size()}, {order.data(), order.size()}));
        return order;
    }
    void require(const Result<void>& result) const {
        if (!result.ok())
            throw Failure(ExitStatus::Failed, "{}: {}", plan_.profile.file.string(),
                          to_string(result.error().sentence()));
    }

    void find_dependencies() {
        std::vector<const ModuleFile*> modules;
        for (const ModuleFile& module : plan_.modules) modules.push_back(&module);
        const std::vector<kernel::ResolverNode> nodes = nodes_of(modules);
        for (size_t from = 0; from < nodes.size(); ++from) {
            const auto find = [&](const auto& list, bool optional) {
                for (size_t i = 0; i < list.size(); ++i) {
                    const auto requirement = kernel::Requirement::parse(list[i]);
                    if (!requirement.ok()) continue;  // resolve() refused it before
                    const auto provider = kernel::provider_of({nodes.data(), nodes.size()}, requirement.value());
                    if (provider.ok() && (!optional || provider.value() != from))
                        plan_.dependencies.push_back({from, provider.value(), to_string(list[i]), optional});
                }
            };
            find(nodes[from].info->dependencies(), false);
            find(nodes[from].info->optional(), true);
        }
    }

    /// The module that the profile names for an interface, otherwise the first static one that implements it.
    void choose_primaries() {
        for (const SlotSettings& slot : plan_.profile.slots) {
            if (!slot.module) continue;
            const size_t index = index_of(slot.module->name);
            if (index >= plan_.static_count)
                error(slot.module->at, fmt::format("\"{}\" rules {} from the start and must be static; move it from "
                                                   "[modules] dynamic to static",
                                                   slot.module->name, slot.interface));
            else if (!plan_.modules[index].implements(slot.interface))
                error(slot.module->at,
                      fmt::format("module \"{}\" does not implement {}", slot.module->name, slot.interface));
            else
                plan_.primaries.emplace_back(slot.interface, slot.module->name);
        }
        for (size_t i = 0; i < plan_.static_count; ++i)
            for (const InterfaceEntry& entry : plan_.modules[i].interfaces)
                if (primary_of(to_string(entry.name.text())).empty())
                    plan_.primaries.emplace_back(to_string(entry.name.text()), plan_.modules[i].instance_name());
        if (errors_.empty() && primary_of("helix.scheduler").empty())
            errors_.push_back(
                fmt::format("{}: no static module implements helix.scheduler; list one in [modules] static",
                            plan_.profile.file.string()));
    }
    std::string primary_of(std::string_view interface) const {
        for (const auto& [name, module] : plan_.primaries)
            if (name == interface) return module;
        return {};
    }
    size_t index_of(std::string_view name) const {
        for (size_t i = 0; i < plan_.modules.size(); ++i)
            if (plan_.modules[i].instance_name() == name) return i;
        return plan_.modules.size();
    }

    /// One that was listed and could be read; null if there is none of that name.
    const ModuleFile* find_module(std::string_view name) const {
        for (const std::vector<ModuleFile>* list : {&statics_, &dynamics_})
            for (const ModuleFile& module : *list)
                if (module.instance_name() == name) return &module;
        return nullptr;
    }

    void check_loaded_modules() {
        for (const ModuleReference& reference : plan_.profile.loaded_modules) {
            const size_t index = index_of(reference.name);
            if (index < plan_.static_count)
                error(reference.at, fmt::format("module \"{}\" is static and starts anyhow; take it out of [boot] load",
                                                reference.name));
            else if (index == plan_.modules.size())
                error(reference.at,
                      fmt::format("module \"{}\" is not in this profile; add it to [modules] dynamic", reference.name));
        }
    }

    static std::vector<std::string> option_names(const ModuleFile& module) {
        std::vector<std::string> names;
        for (const Option& option : module.options) names.push_back(to_string(option.key.text()));
        return names;
    }

    void check_module_tables() {
        for (const auto& [name, settings] : plan_.profile.modules) {
            const ModuleFile* const found = find_module(name);
            if (found == nullptr) {
                if (is_listed(name)) continue;  // add said what is wrong with it
                std::vector<std::string> known;
                for (const auto& [module, place] : places_) known.push_back(module);
                error(settings.at,
                      fmt::format("module \"{}\" is not in this profile{}", name, did_you_mean(name, known)));
                continue;
            }
            const ModuleFile& module = *found;
            if (settings.supervision.contains("checkpoint") && !has(module.info.flags(), ModuleFlags::RestoresStale))
                error(settings.checkpoint_at,
                      fmt::format("module {} takes no checkpoint: it does not declare RestoresStale, that an old state "
                                  "does no harm; take \"checkpoint\" out",
                                  name));
            for (const auto& [key, setting] : settings.options) {
                const Option* option = module.option(key);
                if (option == nullptr) {
                    std::vector<std::string> known = option_names(module);
                    for (const char* reserved : {"file", "instance_of", "placement", "probation"})
                        known.push_back(reserved);
                    for (const SupervisionKey& supervision : supervision_keys()) known.emplace_back(supervision.name);
                    error(setting.key_at, fmt::format("unknown key \"{}\": module {} has no such option{}", key, name,
                                                      did_you_mean(key, known)));
                } else {
                    check(*option, setting, name);
                }
            }
        }
    }

    /// Options in [scheduler] reach whichever module fills the slot, so every candidate that knows them checks them.
    void check_slot_options() {
        for (const SlotSettings& slot : plan_.profile.slots) {
            for (const auto& [key, setting] : slot.options) {
                bool declared = false;
                std::vector<std::string> known{slot.interface == "helix.scheduler" ? "module" : "heap"};
                for (const ModuleFile& module : plan_.modules) {
                    if (!module.implements(slot.interface)) continue;
                    std::ranges::copy(option_names(module), std::back_inserter(known));
                    if (const Option* option = module.option(key)) {
                        declared = true;
                        check(*option, setting, module.instance_name());
                    }
                }
                if (declared) continue;
                if (setting.reason.empty())
                    error(setting.key_at, fmt::format("unknown key \"{}\": no module for {} has such an option{}", key,
                                                      slot.interface, did_you_mean(key, known)));
                else
                    plan_.notices.push_back(plan_.profile.located(
                        setting.key_at, fmt::format("notice: \"{}\" has no effect: {}", key, setting.reason)));
            }
        }
    }
    void check(const Option& option, const Setting& setting, const std::string& module) {
        const auto result = kernel::check_option(option, to_text(setting.value));
        if (!result.ok()) error(setting.at, fmt::format("module {}: {}", module, to_string(result.error().sentence())));
    }

    const ModuleLibrary& library_;
    BootPlan plan_;
    std::vector<ModuleFile> statics_;
    std::vector<ModuleFile> dynamics_;
    std::map<std::string, Position> places_;  // of both, where the profile names them
    std::vector<std::string> errors_;
};

}  // namespace

BootPlan make_plan(Profile profile, const ModuleLibrary& library) {
    return Planner(std::move(profile), library).make();
}

std::string BootPlan::compiled() const {
    std::string out;
    const auto line = [&](std::string_view key, std::string_view value) { out += fmt::format("{}={}\n", key, value); };
    std::vector<std::string> static_names, dynamic_names;
    for (size_t i = 0; i < modules.size(); ++i)
        (i < static_count ? static_names : dynamic_names).push_back(modules[i].instance_name());
    line("profile.name", profile.name);
    line("profile.version", profile.version);
    line("modules.static", join(static_names, " "));
    if (!dynamic_names.empty()) line("modules.dynamic", join(dynamic_names, " "));
    std::vector<std::string> loaded;
    for (size_t i = static_count; i < modules.size(); ++i)
        for (const ModuleReference& reference : profile.loaded_modules)
            if (reference.name == modules[i].instance_name()) loaded.push_back(reference.name);
    if (!loaded.empty()) line("boot.load", join(loaded, " "));
    for (const auto& [interface, module] : primaries) line("primary." + interface, module);
    for (const SlotSettings& slot : profile.slots)
        for (const auto& [key, setting] : slot.options)
            if (std::ranges::any_of(modules, [&](const ModuleFile& module) {
                    return module.implements(slot.interface) && module.option(key) != nullptr;
                }))
                line(fmt::format("interface.{}.{}", slot.interface, key), setting.value);
    for (const auto& [name, settings] : profile.modules)
        for (const auto& [key, setting] : settings.options) line(fmt::format("module.{}.{}", name, key), setting.value);
    for (const auto& [name, settings] : profile.modules)
        if (settings.instance_of) line(fmt::format("module.{}.instance_of", name), settings.instance_of->name);
    for (const auto& [name, settings] : profile.modules)
        if (!settings.probation.empty()) line(fmt::format("module.{}.probation", name), settings.probation);
    for (const auto& [name, settings] : profile.modules)
        for (const auto& [key, value] : settings.supervision) line(fmt::format("module.{}.{}", name, key), value);
    for (const auto& [key, value] : profile.kernel_keys) line(key, value);
    return out;
}

}  // namespace helix::tool

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Commands about modules.
#include "kernel/console/listing.hpp"
#include "kernel/console/transactions.hpp"
#include "kernel/duration.hpp"
#include "kernel/kernel.hpp"

namespace helix::kernel {

namespace {

FixedText<20> describe_version(Version version) {
    return format<20>("{}.{}.{}", version.major, version.minor, version.patch);
}

FixedText<20> version_of(const ModuleRecord& record) {
    return record.current == nullptr ? FixedText<20>() : describe_version(record.current->info().version());
}

Text describe(Link link) {
    return link == Link::Static ? Text("static") : Text("dynamic");
}

template <typename List>
void write_texts(JsonWriter& json, Text key, const List& list) {
    json.key(key);
    json.begin_array();
    for (size_t i = 0; i < list.size(); ++i) json.value(list[i]);
    json.end_array();
}

void write_flags(JsonWriter& json, ModuleFlags flags) {
    json.key("flags");
    json.begin_array();
    for (size_t bit = 0; bit < sizeof(kModuleFlagNames) / sizeof(Text); ++bit)
        if (has(flags, static_cast<ModuleFlags>(1u << bit))) json.value(kModuleFlagNames[bit]);
    json.end_array();
}

/// How often a module was restarted, and when it comes back if that is to be.
void write_restarts(JsonWriter& json, const Restarts& restarts, ModuleState state) {
    json.field("restarts", restarts.count);
    json.key("restart_due_ns");
    if (state == ModuleState::Restarting)
        json.value(restarts.due_ns);
    else
        json.null();
}

/// "in 3.2 s" while a module is to come back, "gave up" if it is not any more; else empty.
FixedText<30> describe_next_restart(const ModuleRecord& record) {
    const Restarts& restarts = record.restarts;
    if (restarts.gave_up && record.state() == ModuleState::Failed) return FixedText<30>("gave up");
    if (record.state() != ModuleState::Restarting) return {};
    const uint64_t now_ns = arch::now_ns();
    if (restarts.due_ns <= now_ns) return FixedText<30>("now");
    return format<30>("in {}", describe_duration(restarts.due_ns - now_ns));
}

/// The members that every listing of a module has.
void write_common(JsonWriter& json, Text name, Text version, const ModuleInfo& info, ModuleState state, Link link,
                  uint32_t generation, const Restarts& restarts) {
    json.field("name", name);
    json.field("version", version);
    json.field("state", describe(state));
    write_flags(json, info.flags());
    json.field("link", describe(link));
    json.field("placement", "kernel");
    write_texts(json, "provides", info.provides());
    json.field("generation", generation);
    write_restarts(json, restarts, state);
    json.field("module", info.name().empty() ? name : info.name());
}
void write_common(JsonWriter& json, const ModuleRecord& record) {
    const ModuleInfo none;
    write_common(json, record.name(), version_of(record).text(),
                 record.current == nullptr ? none : record.current->info(), record.state(), record.link,
                 record.generation, record.restarts);
}

void write_details(JsonWriter& json, ModuleRecord& record) {
    json.begin_object();
    write_common(json, record);
    json.field("file", record.file.text());
    if (record.current != nullptr) {
        Instance& instance = *record.current;
        json.field("instance", static_cast<uint32_t>(instance.id));
        json.field("description", instance.info().description());
        json.field("author", instance.info().author());
        json.field("license", instance.info().license());
        write_texts(json, "dependencies", instance.info().dependencies());
        write_texts(json, "optional", instance.info().optional());
        write_texts(json, "conflicts", instance.info().conflicts());
        json.key("interfaces");
        json.begin_array();
        for (const InterfaceEntry& interface : instance.descriptor->interfaces()) {
            json.begin_object();
            json.field("name", interface.name.text());
            json.field("version", format<12>("{}.{}", interface.major, interface.minor).text());
            json.end_object();
        }
        json.end_array();
        const LedgerTotals owned = instance.totals();
        json.key("owned");
        json.begin_object();
        json.field("blocks", owned.blocks);
        json.field("bytes", owned.bytes);
        json.field("threads", owned.threads);
        json.field("semaphores", owned.semaphores);
        json.field("handles", owned.handles);
        json.field("subscriptions", owned.subscriptions);
        json.field("requests", owned.requests);
        json.field("timers", owned.timers);
        json.field("lines", owned.lines);
        json.end_object();
        if (instance.state == ModuleState::Failed) json.field("failure", instance.failed_error().sentence());
    }
    const Supervision& rules = record.supervision;
    json.key("supervision");
    json.begin_object();
    json.field("restart", describe(rules.restart));
    json.field("restart_limit", rules.restart_limit);
    json.field("restart_period_ns", rules.restart_period_ns);
    json.field("attempts", record.restarts.attempts(rules, arch::now_ns()));
    json.field("last_failure", record.restarts.reason.text());
    json.field("health_period_ns", rules.health_period_ns);
    json.field("health_failures", rules.health_failures);
    json.field("unhealthy", record.health.unhealthy());
    json.field("call_budget_ns", rules.call_budget_ns);
    json.field("call_limit_ns", rules.call_limit_ns);
    json.field("checkpoint_period_ns", rules.checkpoint_period_ns);
    json.end_object();
    json.key("saved");
    json.begin_object();
    json.field("bytes", record.saved.state.size());
    json.field("age_ns", record.saved.state.size() == 0 ? 0 : arch::now_ns() - record.saved.time_ns);
    json.end_object();
    json.field("calls", __atomic_load_n(&record.calls, __ATOMIC_RELAXED));
    json.field("errors", record.metrics.errors());
    json.field("missed", record.metrics.missed());
    json.field("failures", record.metrics.failures());
    json.field("cpu_ns", record.ticks() * Threads::kTickNs);
    json.key("kept");
    json.begin_array();
    for (const KeptRegion& region : record.kept) {
        json.begin_object();
        json.field("name", region.name.text());
        json.field("version", region.version);
        json.field("size", region.size);
        json.end_object();
    }
    json.end_array();
    json.end_object();
}

/// "LABEL  text", and nothing when there is no text.
void print_line(Output& out, Text label, Text text) {
    if (text.empty()) return;
    out.write(label);
    for (size_t i = label.size(); i < 14; ++i) out.write(" ");
    out.write(text);
    out.write("\n");
}

template <typename List>
void print_list(Output& out, Text label, const List& list) {
    if (list.size() == 0) return;
    out.write(label);
    for (size_t i = label.size(); i < 14; ++i) out.write(" ");
    for (size_t i = 0; i < list.size(); ++i) {
        if (i > 0) out.write(", ");
        out.write(list[i]);
    }
    out.write("\n");
}

void write_not_started(JsonWriter& json, const NotStarted& left_out) {
    json.begin_object();
    write_common(json, left_out.name.text(), describe_version(left_out.info.version()).text(), left_out.info,
                 ModuleState::Failed, Link::Static, 0, Restarts());
    json.field("file", left_out.file.text());
    json.field("failure", left_out.reason.sentence());
    json.end_object();
}

void print_not_started(Output& out, const NotStarted& left_out) {
    print_line(out, "name", left_out.name.text());
    print_line(out, "state", describe(ModuleState::Failed));
    print_line(out, "link", describe(Link::Static));
    print_line(out, "file", left_out.file.text());
    print_line(out, "version", describe_version(left_out.info.version()).text());
    print_line(out, "failure", left_out.reason.sentence());
}

void print_details(Output& out, ModuleRecord& record) {
    print_line(out, "name", record.name());
    if (record.current != nullptr && record.current->info().name() != record.name())
        print_line(out, "instance of", record.current->info().name());
    print_line(out, "state", describe(record.state()));
    print_line(out, "link", describe(record.link));
    print_line(out, "file", record.file.text());
    print_line(out, "generation", format("{}", record.generation).text());
    if (record.current != nullptr) {
        Instance& instance = *record.current;
        const ModuleInfo& info = instance.info();
        print_line(out, "version", version_of(record).text());
        print_line(out, "description", info.description());
        print_line(out, "author", info.author());
        print_line(out, "license", info.license());
        FixedText<160> flags;
        for (size_t bit = 0; bit < sizeof(kModuleFlagNames) / sizeof(Text); ++bit) {
            if (!has(info.flags(), static_cast<ModuleFlags>(1u << bit))) continue;
            if (!flags.empty()) flags.append(", ");
            flags.append(kModuleFlagNames[bit]);
        }
        print_line(out, "flags", flags.text());
        print_list(out, "needs", info.dependencies());
        print_list(out, "can use", info.optional());
        print_list(out, "provides", info.provides());
        print_list(out, "conflicts", info.conflicts());
        const LedgerTotals owned = instance.totals();
        print_line(out, "owns",
                   format("{} in {}, {}, {}, {}, {}, {}, {}, {}", counted(owned.bytes, "byte"),
                          counted(owned.blocks, "block"), counted(owned.threads, "thread"),
                          counted(owned.semaphores, "semaphore"), counted(owned.handles, "handle"),
                          counted(owned.subscriptions, "subscription"), counted(owned.requests, "pending request"),
                          counted(owned.timers, "timer"), counted(owned.lines, "interrupt line"))
                       .text());
        if (instance.state == ModuleState::Failed) print_line(out, "failure", instance.failed_error().sentence());
    }
    print_line(
        out, "counted",
        format("{}, {}, {}, {}, {} of CPU time", counted(__atomic_load_n(&record.calls, __ATOMIC_RELAXED), "call"),
               counted(record.metrics.errors(), "error"), counted(record.metrics.missed(), "missed event"),
               counted(record.metrics.failures(), "failure"), describe_duration(record.ticks() * Threads::kTickNs))
            .text());
    const Supervision& rules = record.supervision;
    auto restart = format<80>("{}", describe(rules.restart));
    if (rules.restart == Supervision::Restart::OnFailure)
        restart = format<80>("{}, at most {} in {}", restart, rules.restart_limit,
                             describe_duration(rules.restart_period_ns));
    print_line(out, "restart", restart.text());
    print_line(out, "call budget", describe_duration(rules.call_budget_ns).text());
    print_line(out, "call limit",
               rules.call_limit_ns == 0 ? Text("none") : describe_duration(rules.call_limit_ns).text());
    if (rules.checkpoint_period_ns != 0)
        print_line(out, "checkpoint", format("every {}", describe_duration(rules.checkpoint_period_ns).text()).text());
    if (const SavedState& saved = record.saved; saved.state.size() != 0)
        print_line(out, "saved state",
                   format("{}, {} ago", counted(saved.state.size(), "byte").text(),
                          describe_duration(arch::now_ns() - saved.time_ns).text())
                       .text());
    print_line(out, "restarts", format("{}", record.restarts.count).text());
    print_line(out, "next restart", describe_next_restart(record).text());
    if (record.state() != ModuleState::Failed) print_line(out, "last failure", record.restarts.reason.text());
    for (const KeptRegion& region : record.kept)
        print_line(out, "kept memory",
                   format("{} version {}, {}", region.name, region.version, counted(region.size, "byte")).text());
}

/// Calls `visit` for the module called `name`. Errors: NotFound.
template <typename Visit>
Result<void> with_module(Kernel& kernel, Text name, Visit visit) {
    bool found = false;
    kernel.modules.for_each([&](ModuleRecord& record) {
        if (record.name() != name) return;
        found = true;
        visit(record);
    });
    if (found) return {};
    return Error(ErrorCode::NotFound, format("no module {} is loaded", name.substr(0, 60)).text());
}

}  // namespace

Result<void> run_modules(Invocation& invocation) {
    JsonWriter json(invocation.out);
    constexpr Column kColumns[] = {{"NAME"},
                                   {"VERSION"},
                                   {"STATE"},
                                   {"LINK"},
                                   {"GENERATION", Column::Align::Right},
                                   {"RESTARTS", Column::Align::Right},
                                   {"PROVIDES"}};
    Table table(invocation.out, kColumns, invocation.scratch);
    if (invocation.json) json.begin_array();
    invocation.kernel.modules.for_each([&](ModuleRecord& record) {
        if (invocation.json) {
            json.begin_object();
            write_common(json, record);
            json.end_object();
            return;
        }
        table.cell(record.name());
        table.cell(version_of(record).text());
        table.cell(describe(record.state()));
        table.cell(describe(record.link));
        table.cell(record.generation);
        table.cell(record.restarts.count);
        FixedText<200> provides;
        if (record.current != nullptr) {
            const auto& list = record.current->info().provides();
            for (size_t i = 0; i < list.size(); ++i) {
                if (i > 0) provides.append(", ");
                provides.append(list[i]);
            }
        }
        table.cell(provides.text());
    });
    invocation.kernel.modules.for_each_not_started([&](const NotStarted& left_out) {
        if (invocation.json) {
            write_not_started(json, left_out);
            return;
        }
        table.cell(left_out.name.text());
        table.cell(describe_version(left_out.info.version()).text());
        table.cell(describe(ModuleState::Failed));
        table.cell(describe(Link::Static));
        table.cell(0u);
        table.cell(0u);
        table.cell("");
    });
    if (invocation.json) {
        json.end_array();
        invocation.out.write("\n");
    } else {
        table.finish("(no module)");
    }
    return {};
}

Result<void> run_module(Invocation& invocation) {
    bool left_out_at_boot = false;
    invocation.kernel.modules.for_each_not_started([&](const NotStarted& left_out) {
        if (left_out.name != invocation.arguments[0]) return;
        left_out_at_boot = true;
        if (invocation.json) {
            JsonWriter json(invocation.out);
            write_not_started(json, left_out);
            invocation.out.write("\n");
        } else {
            print_not_started(invocation.out, left_out);
        }
    });
    if (left_out_at_boot) return {};
    return with_module(invocation.kernel, invocation.arguments[0], [&](ModuleRecord& record) {
        if (invocation.json) {
            JsonWriter json(invocation.out);
            write_details(json, record);
            invocation.out.write("\n");
        } else {
            print_details(invocation.out, record);
        }
    });
}

Result<void> run_load(Invocation& invocation) {
    const Text file = invocation.arguments[0];
    if (invocation.arguments.size() == 2 || invocation.argument(1, "as") != "as" || invocation.argument(2, "?").empty())
        return Error(ErrorCode::InvalidArgument, "what follows the file is \"as NAME\"");
    FixedText<46> name;
    TRY(invocation.kernel.modules.load(file, invocation.argument(2), &name));
    JsonWriter json(invocation.out);
    const auto shown = with_module(invocation.kernel, name.text(), [&](ModuleRecord& record) {
        if (invocation.json) {
            json.begin_object();
            write_common(json, record);
            json.end_object();
        } else {
            invocation.out.print("{} {} is {}", record.name(), version_of(record), describe(record.state()));
        }
    });
    // It may have failed, and be gone, between the two looks.
    if (!shown.ok())
        return Error(ErrorCode::NotFound, format("{} was loaded and has gone since; see history", file).text());
    invocation.out.write("\n");
    return {};
}

Result<void> run_unload(Invocation& invocation) {
    // The module itself comes last.
    struct Gone {
        Output& out;
        JsonWriter json;
        const Text name;
    } told{invocation.out, JsonWriter(invocation.out), invocation.arguments[0]};
    const auto print = [](void* context, Text gone) {
        auto& to = *static_cast<Gone*>(context);
        to.out.write(gone);
        to.out.write(" is unloaded\n");
    };
    const auto list = [](void* context, Text gone) {
        auto& to = *static_cast<Gone*>(context);
        if (gone != to.name) to.json.value(gone);
    };
    JsonWriter& json = told.json;
    if (invocation.json) {
        json.begin_object();
        json.field("name", told.name);
        json.field("state", describe(ModuleState::Unloaded));
        json.key("dependents");
        json.begin_array();
    }
    TRY(invocation.kernel.modules.unload(told.name,
                                         !invocation.option.empty() ? Dependents::Unload : Dependents::Refuse,
                                         invocation.json ? +list : +print, &told));
    if (invocation.json) {
        json.end_array();
        json.end_object();
        invocation.out.write("\n");
    }
    return {};
}

Result<void> run_reload(Invocation& invocation) {
    if (!invocation.option.empty()) return reload_after_trial(invocation);
    const Span<const Text> words = invocation.arguments;
    Wanted wanted[CommandWords::kMaximum / 2 + 1];
    const size_t count = words.size() / 2 + words.size() % 2;
    if (words.size() > 2 && words.size() % 2 != 0)
        return Error(
            ErrorCode::InvalidArgument,
            format("{} has no file; usage: reload {}", words[words.size() - 1], invocation.command.usage).text());
    for (size_t i = 0; i < count; ++i) wanted[i] = {words[2 * i], invocation.argument(2 * i + 1)};
    const uint64_t id = TRY(invocation.kernel.modules.reload(Span<const Wanted>(wanted, count)));
    const bool list = invocation.json && count > 1;
    if (list) invocation.out.write("[");
    for (size_t i = 0; i < count; ++i) {  // the records of several follow each other
        print_transaction(invocation, id + i, wanted[i].name);
        invocation.out.write(!list ? Text("\n") : i + 1 < count ? Text(",") : Text("]\n"));
    }
    return {};
}

Result<void> run_config(Invocation& invocation) {
    const Text name = invocation.arguments[0];
    const Text key = invocation.argument(1);
    using enum Column::Align;
    constexpr Column kColumns[] = {{"KEY", Left, "key"},
                                   {"TYPE", Left, "type"},
                                   {"VALUE", Left, "value"},
                                   {"DEFAULT", Left, "default"},
                                   {"MEANING", Left, "documentation"}};
    constexpr Text kTypes[] = {"?", "integer", "boolean", "size", "duration", "string"};
    Listing listing(invocation, kColumns);
    bool found = false;
    TRY(with_module(invocation.kernel, name, [&](ModuleRecord& record) {
        if (record.current == nullptr) return;
        for (const Option& option : record.current->descriptor->options()) {
            if (!key.empty() && option.key != key) continue;
            found = true;
            const auto number = static_cast<size_t>(option.type);
            listing.cell(option.key.text());
            listing.cell(kTypes[number < sizeof(kTypes) / sizeof(Text) ? number : 0]);
            listing.cell(invocation.kernel.modules.config(record, *record.current->descriptor, option.key.text())
                             .value_or(option.default_value.text()));
            listing.cell(option.default_value.text());
            listing.cell(option.documentation.text());
        }
    }));
    if (!found && !key.empty())
        return Error(ErrorCode::NotFound, format("{} has no option {}", name, key.substr(0, 60)).text());
    listing.finish("(the module has no options)");
    return {};
}

/// Of what failed and stays so, or of what was restarted.
FixedText<186> last_failure(ModuleRecord& record) {
    if (record.state() == ModuleState::Failed) return {record.current->failed_error().sentence()};
    return {record.restarts.reason.text()};
}

Result<void> run_health(Invocation& invocation) {
    JsonWriter json(invocation.out);
    constexpr Column kColumns[] = {{"NAME"}, {"STATE"},       {"HEALTH"}, {"RESTARTS", Column::Align::Right},
                                   {"NEXT"}, {"LAST FAILURE"}};
    Table table(invocation.out, kColumns, invocation.scratch);
    if (invocation.json) json.begin_array();
    // One after the other by position, for modules are not asked with the registry locked. One that leaves meanwhile
    // moves the others up.
    for (size_t position = 0;; ++position) {
        FixedText<46> name;
        ModuleState state{};
        size_t i = 0;
        const auto find = [&](auto visit) {
            i = 0;
            invocation.kernel.modules.for_each([&](ModuleRecord& record) {
                if (i++ == position) visit(record);
            });
        };
        find([&](ModuleRecord& record) {
            name.assign(record.name());
            state = record.state();
        });
        if (name.empty()) break;
        if (state != ModuleState::Running && state != ModuleState::Restarting && state != ModuleState::Failed) continue;
        const bool healthy = state == ModuleState::Running && invocation.kernel.modules.ask_health(name.text());
        bool there = false;
        find([&](ModuleRecord& record) {
            if (record.name() != name.text()) return;
            there = true;
            if (!invocation.json) {
                table.cell(name.text());
                table.cell(describe(state));
                table.cell(healthy ? Text("healthy") : Text("unhealthy"));
                table.cell(record.restarts.count);
                table.cell(describe_next_restart(record).text());
                table.cell(last_failure(record).text());
                return;
            }
            json.begin_object();
            json.field("name", name.text());
            json.field("state", describe(state));
            json.field("healthy", healthy);
            json.field("unhealthy", record.health.unhealthy());
            write_restarts(json, record.restarts, state);
            json.field("last_failure", last_failure(record).text());
            json.end_object();
        });
        if (!there) --position;  // it left, and another has its place
    }
    if (current_thread().cancelled) return ErrorCode::Cancelled;  // interrupted: whoever was busy was not asked
    if (invocation.json) {
        json.end_array();
        invocation.out.write("\n");
    } else {
        table.finish("(no module runs)");
    }
    return {};
}

}  // namespace helix::kernel

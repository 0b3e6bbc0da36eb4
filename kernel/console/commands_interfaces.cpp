// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Commands about interfaces and about talking to modules.
#include "kernel/console/transactions.hpp"
#include "kernel/duration.hpp"
#include "kernel/kernel.hpp"

namespace helix::kernel {

void write_record(JsonWriter& json, const HistoryRecord& record) {
    json.begin_object();
    json.field("id", record.id);
    json.key("group");
    if (record.group == 0)
        json.null();
    else
        json.value(record.group);
    json.field("time_ns", record.time_ns);
    json.field("interface", record.interface.text());
    json.field("from", record.from.text());
    json.field("to", record.to.text());
    json.field("result", describe(record.result));
    json.field("phase", describe(record.phase));
    json.field("reason", record.reason.text());
    json.field("rule", record.cause.rule);
    json.field("thread", static_cast<uint64_t>(record.cause.thread));
    json.field("thread_name", record.cause.thread_name.text());
    json.field("function", record.cause.function.text());
    json.field("source", record.cause.source.text());
    json.field("evict_ns", record.evict_ns);
    json.field("pause_ns", record.pause_ns);
    json.field("prepare_ns", record.prepare_ns);
    json.field("state_bytes", record.state_bytes);
    json.key("trial");
    write_trial_counts(json, record.trial);
    json.field("pause_cycles", record.pause_cycles);
    json.key("phases_ns");
    json.begin_object();
    for (Phase phase = Phase::Prepare; phase <= Phase::Commit;
         phase = static_cast<Phase>(static_cast<size_t>(phase) + 1))
        if (phase != Phase::Trial) json.field(describe(phase), record.phase_ns[static_cast<size_t>(phase)]);
    json.end_object();
    json.end_object();
}

void print_transaction(Invocation& invocation, uint64_t id, Text subject) {
    HistoryRecord record;
    const bool kept = invocation.kernel.modules.history().find(id, record);
    Output& out = invocation.out;
    if (!kept) {
        if (invocation.json)
            out.write("null");
        else
            out.print("{}: done; {} newer records took the place of its own", subject, History::kCapacity);
    } else if (invocation.json) {
        JsonWriter json(out);
        write_record(json, record);
    } else {
        out.print("{}: {} -> {}, {}; ", subject, record.from, record.to, describe(record.result));
        out.print("pause {}, prepared in {}, {} of state", describe_duration(record.pause_ns),
                  describe_duration(record.prepare_ns), counted(record.state_bytes, "byte"));
        if (record.trial.wanted != 0) out.print("; {} agreed", counted(record.trial.compared, "answer"));
    }
}

Result<void> run_interfaces(Invocation& invocation) {
    JsonWriter json(invocation.out);
    constexpr Column kColumns[] = {
        {"INTERFACE"}, {"VERSION"}, {"GENERATION", Column::Align::Right}, {"PRIMARY"}, {"IMPLEMENTORS"}};
    Table table(invocation.out, kColumns, invocation.scratch);
    if (invocation.json) json.begin_array();
    invocation.kernel.modules.for_each_interface([&](InterfaceRecord& interface) {
        const uint32_t generation =
            interface.primary == nullptr ? 0 : __atomic_load_n(&interface.primary->generation, __ATOMIC_RELAXED);
        if (invocation.json) {
            json.begin_object();
            json.field("name", interface.name.text());
            json.key("primary");
            if (interface.primary_record == nullptr)
                json.null();
            else
                json.value(interface.primary_record->name());
            json.key("implementors");
            json.begin_array();
            for (const Slot& slot : interface.implementors) json.value(slot.record->name());
            json.end_array();
            json.field("generation", generation);
            json.end_object();
            return;
        }
        FixedText<200> implementors;
        for (const Slot& slot : interface.implementors) {
            if (!implementors.empty()) implementors.append(", ");
            implementors.append(slot.record->name());
        }
        table.cell(interface.name.text());
        const InterfaceEntry* const served =
            interface.primary_record == nullptr
                ? nullptr
                : find_interface(*interface.primary_record->current->descriptor, interface.name.text());
        table.cell(served == nullptr ? format<12>("{}", interface.major).text()
                                     : format<12>("{}.{}", served->major, served->minor).text());
        table.cell(generation);
        table.cell(interface.primary_record == nullptr ? Text("(none)") : interface.primary_record->name());
        table.cell(implementors.text());
    });
    if (invocation.json) {
        json.end_array();
        invocation.out.write("\n");
    } else {
        table.finish();
    }
    return {};
}

Result<void> run_swap(Invocation& invocation) {
    if (invocation.option == "--canary") return run_canary(invocation);
    if (invocation.arguments.size() > 2)
        return Error(ErrorCode::InvalidArgument, "a third word is the time of a canary: --canary CPU [SECONDS]");
    if (!invocation.option.empty()) return run_shadow(invocation);
    const uint64_t id = TRY(invocation.kernel.modules.swap(invocation.arguments[0], invocation.arguments[1]));
    print_transaction(invocation, id, invocation.arguments[0]);
    invocation.out.write("\n");
    return {};
}

Result<void> run_request(Invocation& invocation) {
    Response response = TRY(invocation.kernel.modules.request(nullptr, invocation.arguments[0], invocation.arguments[1],
                                                              as_bytes(invocation.argument(2))));
    if (!response.is_ok()) return Error(ErrorCode::InvalidState, response.sentence());
    const Text payload = response.payload().text();
    if (!invocation.json) {
        invocation.out.write(payload.empty() ? Text("ok") : payload);
        if (!payload.ends_with("\n")) invocation.out.write("\n");
        return {};
    }
    // A payload that is JSON is passed on, anything else becomes a string, and nothing is null.
    JsonWriter json(invocation.out);
    if (payload.empty())
        json.null();
    else if (is_json_value(payload))
        json.raw(payload);
    else
        json.value(payload);
    invocation.out.write("\n");
    return {};
}

Result<void> run_event(Invocation& invocation) {
    ModuleSystem& modules = invocation.kernel.modules;
    const Text name = invocation.arguments[0];
    const Event event = Event::make_custom(name, as_bytes(invocation.argument(1)));
    uint64_t subscribers = 0;
    modules.for_each([&](const ModuleRecord& record) {
        if (record.state() == ModuleState::Running && record.current->hears(event)) ++subscribers;
    });
    TRY(modules.emit(event));
    TRY(modules.drain_events());  // if it is interrupted, the event stays queued
    if (!invocation.json) {
        if (subscribers == 0) invocation.out.print("no module listens to {}\n", name);
        return {};
    }
    JsonWriter json(invocation.out);
    json.begin_object();
    json.field("event", name);
    json.field("subscribers", subscribers);
    json.end_object();
    invocation.out.write("\n");
    return {};
}

Result<void> run_history(Invocation& invocation) {
    History& history = invocation.kernel.modules.history();
    JsonWriter json(invocation.out);
    using enum Column::Align;
    constexpr Column kColumns[] = {
        {"ID", Right}, {"TIME", Right},  {"INTERFACE"},      {"FROM"},         {"TO"},    {"RESULT"},
        {"PHASE"},     {"PAUSE", Right}, {"PREPARE", Right}, {"STATE", Right}, {"REASON"}};
    Table table(invocation.out, kColumns, invocation.scratch);
    if (invocation.json) json.begin_array();
    uint64_t after = 0;
    for (HistoryRecord record; history.next(after, record); after = record.id) {
        if (invocation.json) {
            write_record(json, record);
            continue;
        }
        table.cell(record.id);
        table.cell(describe_duration(record.time_ns).text());
        table.cell(record.interface.empty() ? Text("-") : record.interface.text());
        table.cell(record.from.text());
        table.cell(record.to.text());
        table.cell(describe(record.result));
        table.cell(describe(record.phase));
        table.cell(describe_duration(record.pause_ns).text());
        table.cell(describe_duration(record.prepare_ns).text());
        table.cell(record.state_bytes);
        table.cell(record.reason.text());
    }
    if (invocation.json) {
        json.end_array();
        invocation.out.write("\n");
    } else {
        table.finish("(nothing was reloaded, and nothing failed)");
    }
    return {};
}

}  // namespace helix::kernel

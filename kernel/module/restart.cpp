// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Restarts: the rules of the profile, and when the next attempt is due.

#include "kernel/module/restart.hpp"

#include "helix/format.hpp"

namespace helix::kernel {

namespace {

void read_duration(Text value, uint64_t& out) {
    uint64_t duration = 0;
    if (parse_duration(value, duration)) out = duration;
}

void read_count(Text value, uint32_t limit, uint32_t& out) {
    uint64_t number = 0;
    if (parse_unsigned(value, number) && number >= 1 && number <= limit) out = static_cast<uint32_t>(number);
}

}  // namespace

Supervision Supervision::of(const Profile& profile, Text name) {
    Supervision rules;
    const auto own = format<62>("module.{}.", name);
    for (const Text table : {Text("kernel."), own.text()})  // what is its own counts more
        for (const ProfileEntry& entry : profile)
            if (entry.key.starts_with(table)) rules.read(entry.key.substr(table.size()), entry.value);
    return rules;
}

// The tool has checked the values; what it would refuse changes nothing.
void Supervision::read(Text key, Text value) {
    if (key == "restart") {
        for (const Restart known : {Restart::Never, Restart::OnFailure, Restart::Always})
            if (value == describe(known)) restart = known;
    }
    if (key == "restart_limit") read_count(value, kMaximumLimit, restart_limit);
    if (key == "restart_period") read_duration(value, restart_period_ns);
    if (key == "restart_delay") read_duration(value, restart_delay_ns);
    if (key == "restart_delay_max") read_duration(value, restart_delay_max_ns);
    if (key == "health_period") read_duration(value, health_period_ns);
    if (key == "checkpoint") read_duration(value, checkpoint_period_ns);
    if (key == "health_failures") read_count(value, UINT32_MAX, health_failures);
    if (key == "call_budget") read_duration(value, call_budget_ns);
    if (key == "call_limit") read_duration(value, call_limit_ns);
}

uint32_t Restarts::attempts(const Supervision& rules, uint64_t now_ns) const {
    const uint32_t kept = attempts_ < Supervision::kMaximumLimit ? attempts_ : Supervision::kMaximumLimit;
    uint32_t recent = 0;
    for (uint32_t i = 0; i < kept; ++i)
        if (now_ns - attempt_ns_[i] < rules.restart_period_ns) ++recent;
    return recent;
}

bool Restarts::plan(const Supervision& rules, uint64_t now_ns) {
    const uint32_t made = attempts(rules, now_ns);
    const bool too_many = made >= rules.restart_limit && rules.restart != Supervision::Restart::Always;
    if (rules.restart == Supervision::Restart::Never || too_many) {
        gave_up = too_many;
        return false;
    }
    uint64_t delay_ns = made == 0 ? 0 : rules.restart_delay_ns;
    for (uint32_t i = 1; i < made && delay_ns < rules.restart_delay_max_ns; ++i) delay_ns *= 2;
    if (delay_ns > rules.restart_delay_max_ns) delay_ns = rules.restart_delay_max_ns;
    gave_up = false;
    due_ns = now_ns + delay_ns;
    return true;
}

void Restarts::note_attempt(uint64_t now_ns) {
    attempt_ns_[attempts_++ % Supervision::kMaximumLimit] = now_ns;
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Restarts: the rules of the profile, and when the next attempt is due.

#include "kernel/module/restart.hpp"

#include "helix/format.hpp"

namespace helix::kernel {

namespace {

/// What the profile says of `key` for the module `name`: in its own table, else for all; empty if it says nothing.
Text rule(const Profile& profile, Text name, Text key) {
    const Text own = profile.value(format<120>("module.{}.{}", name, key).text());
    return own.empty() ? profile.value(format<62>("kernel.{}", key).text()) : own;
}

void read_duration(const Profile& profile, Text name, Text key, uint64_t& out) {
    uint64_t duration = 0;
    if (parse_duration(rule(profile, name, key), duration)) out = duration;
}

void read_count(const Profile& profile, Text name, Text key, uint32_t limit, uint32_t& out) {
    uint64_t number = 0;
    if (parse_unsigned(rule(profile, name, key), number) && number >= 1 && number <= limit)
        out = static_cast<uint32_t>(number);
}

}  // namespace

// The tool has checked the values; what it would refuse leaves the default.
Supervision Supervision::of(const Profile& profile, Text name) {
    Supervision rules;
    const Text restart = rule(profile, name, "restart");
    for (const Restart known : {Restart::Never, Restart::OnFailure, Restart::Always})
        if (restart == describe(known)) rules.restart = known;
    read_count(profile, name, "restart_limit", kMaximumLimit, rules.restart_limit);
    read_duration(profile, name, "restart_period", rules.restart_period_ns);
    read_duration(profile, name, "restart_delay", rules.restart_delay_ns);
    read_duration(profile, name, "restart_delay_max", rules.restart_delay_max_ns);
    read_duration(profile, name, "health_period", rules.health_period_ns);
    read_count(profile, name, "health_failures", UINT32_MAX, rules.health_failures);
    read_duration(profile, name, "call_limit", rules.call_limit_ns);
    return rules;
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
    if (!is_pending()) {
        emptied = false;
        failed_ns = now_ns;
    }
    due_ns = now_ns + delay_ns;
    __atomic_store_n(&pending_, true, __ATOMIC_RELEASE);
    return true;
}

void Restarts::note_attempt(uint64_t now_ns) {
    attempt_ns_[attempts_++ % Supervision::kMaximumLimit] = now_ns;
}

}  // namespace helix::kernel

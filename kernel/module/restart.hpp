// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Restart: what the profile says of looking after a module, and how far its restarts have come.
#pragma once

#include "helix/units.hpp"
#include "kernel/module/profile.hpp"

namespace helix::kernel {

/// Read once, when the module is loaded; docs/profiles.md names the keys and the defaults.
struct Supervision {
    enum class Restart : uint8_t { Never, OnFailure, Always };
    static constexpr uint32_t kMaximumLimit = 16;

    Restart restart = Restart::OnFailure;
    uint32_t restart_limit = 5;  ///< restarts in `restart_period_ns`, from 1 to kMaximumLimit
    uint64_t restart_period_ns = 60'000'000'000;
    uint64_t restart_delay_ns =
        100'000'000;  ///< before the second restart of a period; it doubles from one to the next
    uint64_t restart_delay_max_ns = 10'000'000'000;
    uint64_t health_period_ns = 1'000'000'000;  ///< 0: its health is not asked
    uint32_t health_failures = 3;               ///< so many bad answers in a row are a failure
    uint64_t checkpoint_period_ns = 0;          ///< how often its state is saved for a restart; 0: it is not
    /// CPU time of one call into the module, without the waits in it; calls that are bounded have less.
    uint64_t call_budget_ns = 1'000'000'000;
    uint64_t call_limit_ns = 0;  ///< how long a call into the module may take, waits included; 0: as long as it likes

    /// How often its health is asked or its state saved; 0: never.
    uint64_t look_period_ns() const {
        uint64_t shortest_ns = 0;
        for (const uint64_t period_ns : {health_period_ns, checkpoint_period_ns})
            if (period_ns != 0 && (shortest_ns == 0 || period_ns < shortest_ns)) shortest_ns = period_ns;
        return shortest_ns;
    }
    /// How often it is looked for calls that go on for too long; 0: never. Seen three times, one has had its time.
    uint64_t watch_period_ns() const {
        constexpr uint64_t kShortestNs = 1'000'000;
        if (call_limit_ns == 0) return 0;
        return call_limit_ns / 2 > kShortestNs ? call_limit_ns / 2 : kShortestNs;
    }
    /// For the module `name`: its own table of the profile, otherwise what the profile says for all.
    static Supervision of(const Profile& profile, Text name);

private:
    void read(Text key, Text value);
};

constexpr Text describe(Supervision::Restart restart) {
    constexpr Text kNames[] = {"never", "on-failure", "always"};
    return kNames[static_cast<size_t>(restart)];
}

/// The restarts of one module; whether one is due now is its state, Restarting. Changed with the module system's change
/// lock held; those who only show it read it as it is.
class Restarts {
public:
    /// An instance failed.
    void note_failure(uint64_t now_ns) {
        failed_ns = now_ns;
        emptied = false;
    }
    /// Plans the next attempt, unless the profile wants none or there were too many.
    bool plan(const Supervision& rules, uint64_t now_ns);
    /// An attempt begins.
    void note_attempt(uint64_t now_ns);

    /// Somebody brought the module back: what was before does not count any more.
    void reset() {
        attempts_ = 0;
        gave_up = false;
    }

    /// Attempts that began in the period that ends at `now_ns`.
    uint32_t attempts(const Supervision& rules, uint64_t now_ns) const;
    /// Whether the attempt that is planned is the last of its period.
    bool is_last(const Supervision& rules, uint64_t now_ns) const {
        const uint32_t made = attempts(rules, now_ns);
        return made > 0 && made + 1 >= rules.restart_limit;
    }

    uint32_t count = 0;       ///< how often it was restarted since it was loaded
    bool emptied = false;     ///< nobody is inside the failed instance any more, and it owns nothing
    bool gave_up = false;     ///< there were too many: only a reload helps
    bool ruled = false;       ///< an interface that the kernel itself plugs in
    uint64_t failed_ns = 0;   ///< when the failure was looked at
    uint64_t due_ns = 0;      ///< not before
    uint64_t history_id = 0;  ///< of the record of the failure
    FixedText<186> reason;    ///< of the last failure; empty if there was none

private:
    uint32_t attempts_ = 0;
    uint64_t attempt_ns_[Supervision::kMaximumLimit] = {};  // the newest, in a ring
};

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// PhaseClock: how long each phase of a transaction takes. Each ends where the next begins.
#pragma once

#include "kernel/module/history.hpp"
#include "kernel/thread/threads.hpp"

namespace helix::kernel {

/// Reads the cycle counter alone, so that it can be read inside a hold. Used by one thread.
class PhaseClock {
public:
    /// Begins with Phase::Prepare. `entry` outlives the clock, which writes phase and times there.
    PhaseClock(const Threads& threads, HistoryRecord& entry)
        : threads_(threads), entry_(entry), last_cycles_(arch::cycles()) {
        entry.time_ns = arch::now_ns();
    }
    /// Of a restart: callers are held since the failure, at `failed_cycles`. `entry` tells of that.
    PhaseClock(const Threads& threads, HistoryRecord& entry, uint64_t failed_cycles)
        : threads_(threads), entry_(entry), last_cycles_(failed_cycles), first_held_(Phase::Prepare) {
        entry.phase = Phase::Hold;
        held_ = true;
    }
    PhaseClock(const PhaseClock&) = delete;
    PhaseClock& operator=(const PhaseClock&) = delete;

    HistoryRecord& entry() { return entry_; }
    /// Whether a phase was entered. Before that it is only looked for what was named.
    bool has_begun() const { return has_begun_; }
    void enter(Phase next) {
        tick();
        has_begun_ = true;
        entry_.phase = next;
        held_ |= next == Phase::Hold || next == Phase::Commit;
        if (!held_) early_ |= 1u << static_cast<unsigned>(next);
        entered_cycles_[static_cast<size_t>(next)] = last_cycles_;
        if (is_recorded_ && !holds_notes_) note_phase(next);
    }
    /// From here to `stop` entries of the trace wait, so that a hold is not longer for them. The thread stays on its
    /// CPU, and nothing else is traced there.
    void hold_notes() { holds_notes_ = true; }
    /// What is timed leaves no record, and no trace.
    void leave_no_trace() { is_recorded_ = false; }
    /// The time of the phase in which the transaction ended is over; what follows is cleaning up.
    void stop();
    /// Writes the times into the record. Once, at the end.
    void finish();

private:
    void tick();
    void note_phase(Phase phase) const;

    const Threads& threads_;
    HistoryRecord& entry_;
    uint64_t last_cycles_;
    const Phase first_held_ = Phase::Hold;
    uint64_t cycles_[kPhases] = {};
    uint64_t entered_cycles_[kPhases] = {};
    bool running_ = true;
    bool has_begun_ = false;
    bool held_ = false;   ///< callers were, at some time
    uint32_t early_ = 0;  ///< bit n: phase n began before
    bool is_recorded_ = true;
    bool holds_notes_ = false;
};

/// The clock of what leaves no record.
struct Unrecorded {
    explicit Unrecorded(const Threads& threads) : clock(threads, entry) { clock.leave_no_trace(); }
    HistoryRecord entry;
    PhaseClock clock;
};

}  // namespace helix::kernel

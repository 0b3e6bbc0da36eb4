// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// PhaseClock: adding up, and what follows from the sums.

#include "kernel/module/phase_clock.hpp"

#include "kernel/trace/trace.hpp"

namespace helix::kernel {

void PhaseClock::tick() {
    const uint64_t now = arch::cycles();
    if (running_) cycles_[static_cast<size_t>(entry_.phase)] += now - last_cycles_;
    last_cycles_ = now;
}

void PhaseClock::note_phase(Phase phase) const {
    Trace::note_at(entered_cycles_[static_cast<size_t>(phase)], TraceKind::Phase, static_cast<uint8_t>(phase), 0,
                   static_cast<uint32_t>(current_thread().id));
}

void PhaseClock::stop() {
    tick();
    running_ = false;
    if (!holds_notes_ || !is_recorded_) return;
    holds_notes_ = false;
    const uint64_t held_cycles = entered_cycles_[static_cast<size_t>(Phase::Hold)];
    for (size_t i = static_cast<size_t>(Phase::Hold); i <= static_cast<size_t>(entry_.phase); ++i)
        if (entered_cycles_[i] >= held_cycles) note_phase(static_cast<Phase>(i));
}

void PhaseClock::finish() {
    stop();
    Trace::note(TraceKind::Transaction, static_cast<uint8_t>(entry_.result), 0,
                static_cast<uint32_t>(current_thread().id), 0,
                entry_.to.empty() ? entry_.from.text() : entry_.to.text());
    for (size_t i = 0; i < kPhases; ++i) {
        const auto phase = static_cast<Phase>(i);
        entry_.phase_ns[i] = threads_.cycles_to_ns(cycles_[i]);
        const bool is_early = phase > Phase::Hold && (early_ >> i & 1) != 0;
        if (phase < Phase::Trial || is_early) entry_.prepare_ns += entry_.phase_ns[i];
        if (held_ && phase >= first_held_ && phase <= Phase::Commit && !is_early) entry_.pause_cycles += cycles_[i];
    }
    entry_.pause_ns = threads_.cycles_to_ns(entry_.pause_cycles);
}

}  // namespace helix::kernel

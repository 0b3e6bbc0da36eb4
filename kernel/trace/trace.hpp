// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Trace: what happens in the kernel, noted on every CPU, in rings that are always there to be read.
#pragma once

#include "helix/result.hpp"
#include "kernel/trace/trace_reader.hpp"

namespace helix::kernel {

struct Kernel;

class Trace {
public:
    static constexpr size_t kDefaultEntries = 64;  ///< of a CPU, for changes, unless the profile says otherwise

    explicit Trace(Kernel& kernel) : kernel_(kernel) {}

    /// Gives each CPU a ring with room for `entries` (see TraceRing::capacity_for); 0: none. Once, at boot, when there
    /// are memory and CPUs. False if memory is short; whoever got a ring by then has one.
    bool init(size_t entries, TraceScope scope);

    /// Adds an entry to the ring of the calling CPU. Any context, any lock held, once the CPUs are there. A switch does
    /// this by itself.
    static void note(TraceKind kind, uint8_t detail, uint32_t subject, uint32_t other = 0, uint64_t address = 0,
                     Text text = {});
    /// The same of something that happened at `cycles`, on this CPU, with nothing added since.
    static void note_at(uint64_t cycles, TraceKind kind, uint8_t detail, uint32_t subject, uint32_t other = 0,
                        uint64_t address = 0, Text text = {});
    /// Whether anything is noted, and whether everything is and not changes alone.
    static bool is_on();
    static bool notes_all();

    /// Between the two nothing is noted, so that nothing is overwritten that is being read. They do not nest; one
    /// thread.
    void pause();
    void resume();
    /// Of all CPUs; see there.
    TraceReader reader() const;

private:
    void set_on(bool on);

    Kernel& kernel_;
};

}  // namespace helix::kernel

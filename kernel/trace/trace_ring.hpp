// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// TraceRing: what happened last on one CPU, in entries of a fixed size that any context adds without a lock.
#pragma once

#include "helix/types.hpp"

namespace helix::kernel {

enum class TraceKind : uint8_t {
    Text,       ///< more of the entry before it
    Switch,     ///< `subject` runs from now on, instead of `other`; detail: TraceSwitch
    Wake,       ///< `subject` may run again, thanks to `other`; detail: WakeReason
    Migration,  ///< `subject` waits on CPU `address` from now on, no longer on CPU `other`; detail: TraceMigration
    Thread,     ///< `subject` was created, by `other`; with its name
    Cpu,        ///< CPU `subject` is offline (detail 0) or online (1)
    Module,     ///< an instance, `subject`, became what detail says: ModuleState; with its name
    Failure,    ///< an instance, `subject`, failed on thread `other`; detail: GateFailure; with its name
    Request,    ///< thread `other` enters an instance, `subject`, or left it; detail: TraceCall; its name and the type
    Event,      ///< the same for an event; the instance's name
    Phase,      ///< a transaction on thread `other` enters a phase; detail: Phase
    Transaction,  ///< it ended; detail: TransactionResult; with what it was about
    Resumed,      ///< nothing was recorded for a while, since the rings were being read
};
inline constexpr size_t kTraceKinds = static_cast<size_t>(TraceKind::Resumed) + 1;

/// Whether entries of a kind come with every change of the system alone, and not with what threads do all the time.
constexpr bool is_change(TraceKind kind) {
    return kind == TraceKind::Cpu || kind == TraceKind::Module || kind == TraceKind::Failure ||
           kind >= TraceKind::Phase;
}
/// What a ring keeps.
enum class TraceScope : uint8_t { Changes, All };

/// Why a thread stopped running.
enum class TraceSwitch : uint8_t { Blocked, Yielded, Preempted, Ended };
/// Why a thread changed its CPU.
enum class TraceMigration : uint8_t { Placed, Pulled, GivenAway };

/// How far a call by the kernel has come.
enum class TraceCall : uint8_t { Begin, End, Error };

/// Plain memory: written as it comes, checked by who reads.
struct TraceEntry {
    static constexpr size_t kTextBytes = 24;

    uint64_t cycles;  ///< arch::cycles(); from here to `mark` it is text instead, in an entry of kind Text
    uint32_t subject;
    uint32_t other;
    uint64_t address;  ///< of a failure, and as a kind says; unspecified elsewhere
    uint64_t mark;     ///< the entry's number plus one, in 32 bits; kind; detail. Written last; cleared memory has none

    static constexpr uint64_t make_mark(uint64_t number, TraceKind kind, uint8_t detail) {
        return static_cast<uint32_t>(number + 1) | static_cast<uint64_t>(kind) << 32 |
               static_cast<uint64_t>(detail) << 40;
    }
    TraceKind kind() const { return static_cast<TraceKind>(mark >> 32 & 0xff); }
    uint8_t detail() const { return static_cast<uint8_t>(mark >> 40); }
};
static_assert(sizeof(TraceEntry) == 32);

/// Entries are numbered from 0. Whoever adds one takes a number by one instruction, so that an interrupt, or one that
/// nothing masks, in the middle of it takes the next; then fills the place and marks it with the number. Whoever reads
/// believes a place that has the right mark before and whose number was not overtaken behind.
class TraceRing {
public:
    static constexpr size_t kSmallest = 16;
    static constexpr size_t kLargest = 65'536;
    static constexpr size_t kMaximumText = 72;  ///< longer ones are cut

    /// A power of two from kSmallest to kLargest that is not below `wanted`, if that is not above; 0 for 0.
    static constexpr size_t capacity_for(size_t wanted) {
        if (wanted == 0) return 0;
        size_t capacity = kSmallest;
        while (capacity < wanted && capacity < kLargest) capacity *= 2;
        return capacity;
    }

    /// Uses `entries`, which are cleared, from now on; as many as capacity_for returned. Once.
    void init(Span<TraceEntry> entries, TraceScope scope = TraceScope::All) {
        entries_ = entries.data();
        capacity_ = entries.size();
        scope_ = scope;
        set_on(true);
    }
    /// From now on entries are kept, or not. Any CPU; one that is being added is still written.
    void set_on(bool on) {
        const uint64_t mask = on && capacity_ != 0 ? capacity_ - 1 : 0;
        __atomic_store_n(&mask_, mask, __ATOMIC_RELEASE);
        __atomic_store_n(&all_mask_, scope_ == TraceScope::All ? mask : 0, __ATOMIC_RELEASE);
    }
    bool is_on() const { return __atomic_load_n(&mask_, __ATOMIC_RELAXED) != 0; }
    bool keeps_all() const { return __atomic_load_n(&all_mask_, __ATOMIC_RELAXED) != 0; }

    // ---- Of the ring's CPU, with preemption off; any context beside that.

    /// For kinds that are no changes.
    inline __attribute__((always_inline)) void add(uint64_t cycles, TraceKind kind, uint8_t detail, uint32_t subject,
                                                   uint32_t other) {
        const uint64_t mask = __atomic_load_n(&all_mask_, __ATOMIC_RELAXED);
        if (__builtin_expect(mask == 0, 1)) return;
        fill(entries_, mask, take(1), cycles, kind, detail, subject, other);
    }
    /// For any kind, with a text of kMaximumText bytes at most, in entries of its own behind the first.
    void add(uint64_t cycles, TraceKind kind, uint8_t detail, uint32_t subject, uint32_t other, uint64_t address,
             Text text);

    // ---- For readers, on any CPU.

    /// The number of the entry that will be added next.
    uint64_t end() const { return __atomic_load_n(&next_, __ATOMIC_ACQUIRE); }
    /// The number of the oldest entry that may be there.
    uint64_t begin() const {
        const uint64_t after = end();
        return after > capacity_ ? after - capacity_ : 0;
    }
    /// Copies entry `number`; false if it is not there, not any more, or not whole yet.
    bool read(uint64_t number, TraceEntry& out) const;

private:
    uint64_t take(uint64_t count) {
        // No lock prefix: nobody else writes it but what interrupts this very CPU.
        asm volatile("xaddq %0, %1" : "+r"(count), "+m"(next_)::"memory", "cc");
        return count;
    }
    static inline __attribute__((always_inline)) void fill(TraceEntry* entries, uint64_t mask, uint64_t number,
                                                           uint64_t cycles, TraceKind kind, uint8_t detail,
                                                           uint32_t subject, uint32_t other) {
        TraceEntry& entry = entries[number & mask];
        __atomic_store_n(&entry.cycles, cycles, __ATOMIC_RELAXED);
        __atomic_store_n(&entry.subject, subject, __ATOMIC_RELAXED);
        __atomic_store_n(&entry.other, other, __ATOMIC_RELAXED);
        __atomic_store_n(&entry.mark, TraceEntry::make_mark(number, kind, detail), __ATOMIC_RELEASE);
    }

    uint64_t all_mask_ = 0;  ///< capacity - 1, or 0 while not everything is kept; atomic
    TraceEntry* entries_ = nullptr;
    uint64_t next_ = 0;
    uint64_t mask_ = 0;  ///< the same, or 0 while nothing is kept; atomic
    uint64_t capacity_ = 0;
    TraceScope scope_ = TraceScope::All;
};

}  // namespace helix::kernel

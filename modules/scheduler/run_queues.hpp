// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The runnable threads of one CPU: a FIFO list for each level, and how long each of them has waited.
//
// Lives in SchedulerCpu::area and links threads through SchedulerThread::area; all zero is a valid empty value.
// The lock of the CPU guards everything here. Nothing allocates. Every operation takes constant time but these:
// `longest_waiting` looks at most at one thread a level, `insert_waited` passes those who waited less.
#pragma once

#include "helix/interfaces/scheduler.hpp"

namespace helix::scheduling {

/// What a policy keeps in each thread. Zero when the policy first sees the thread.
struct ThreadState {
    SchedulerThread* previous;
    SchedulerThread* next;
    uint64_t waiting_since_ns;  ///< RunQueues::clock_ns when it was queued; of a list the first is the oldest
    uint64_t slice_start_ns;    ///< CPU time it had used when its time slice began
    uint64_t waited_ns;         ///< between two CPUs: how long it waited on the first
    uint32_t level;             ///< while queued: its list
    bool queued;
    bool overdue;     ///< picked because it had waited too long: nobody preempts it before its slice is used
    bool slice_used;  ///< the last tick ended its slice
    bool keep_slice;  ///< goes on with the slice it had
};

inline ThreadState& state_of(SchedulerThread& thread) {
    return thread.policy<ThreadState>();
}
inline const ThreadState& state_of(const SchedulerThread& thread) {
    return thread.policy<ThreadState>();
}

enum class QueueEnd : uint32_t { Back, Front };

struct RunQueues {
    /// The aging clock gains at most this much a tick, so that nobody grows old while the CPU idles.
    static constexpr uint64_t kLargestStepNs = 100'000'000;

    SchedulerThread* first[kPriorityLevels];
    SchedulerThread* last[kPriorityLevels];
    uint32_t occupied;  ///< bit n: level n has threads
    uint32_t count;
    uint64_t clock_ns;      ///< time in which threads of this policy ran here, by its ticks
    uint64_t last_tick_ns;  ///< 0 before the first
    uint64_t turn_end_ns;   ///< by `clock_ns`
    bool overdue_turn;      ///< until then threads that have waited too long go first, otherwise the highest level

    bool empty() const { return occupied == 0; }
    /// The highest level that has threads; only when not empty.
    uint32_t highest() const { return 31 - static_cast<uint32_t>(__builtin_clz(occupied)); }

    void advance_clock(uint64_t now_ns) {
        if (last_tick_ns != 0 && now_ns > last_tick_ns) {
            const uint64_t step = now_ns - last_tick_ns;
            clock_ns += step < kLargestStepNs ? step : kLargestStepNs;
        }
        last_tick_ns = now_ns;
    }

    /// `thread` is not queued and `level` is below kPriorityLevels. At the front it counts as waiting as long as the
    /// one behind it, so that the first of a list stays its oldest.
    void insert(SchedulerThread& thread, uint32_t level, QueueEnd end) {
        ThreadState& state = state_of(thread);
        state.level = level;
        state.queued = true;
        state.waiting_since_ns = clock_ns;
        if (first[level] == nullptr) {
            state.previous = state.next = nullptr;
            first[level] = last[level] = &thread;
            occupied |= 1u << level;
        } else if (end == QueueEnd::Back) {
            state.previous = last[level];
            state.next = nullptr;
            state_of(*last[level]).next = &thread;
            last[level] = &thread;
        } else {
            state.previous = nullptr;
            state.next = first[level];
            state.waiting_since_ns = state_of(*first[level]).waiting_since_ns;
            state_of(*first[level]).previous = &thread;
            first[level] = &thread;
        }
        ++count;
    }

    /// The same for a thread that has waited for `waited_ns` elsewhere: behind all who have waited as long.
    void insert_waited(SchedulerThread& thread, uint32_t level, uint64_t waited_ns) {
        const uint64_t since = clock_ns - (waited_ns < clock_ns ? waited_ns : clock_ns);
        SchedulerThread* before = last[level];
        while (before != nullptr && state_of(*before).waiting_since_ns > since) before = state_of(*before).previous;
        ThreadState& state = state_of(thread);
        state.level = level;
        state.queued = true;
        state.waiting_since_ns = since;
        state.previous = before;
        SchedulerThread*& link = before == nullptr ? first[level] : state_of(*before).next;
        state.next = link;
        (link == nullptr ? last[level] : state_of(*link).previous) = &thread;
        link = &thread;
        occupied |= 1u << level;
        ++count;
    }
    uint64_t waited_ns(const SchedulerThread& thread) const { return clock_ns - state_of(thread).waiting_since_ns; }

    /// `thread` is queued here.
    void remove(SchedulerThread& thread) {
        ThreadState& state = state_of(thread);
        const uint32_t level = state.level;
        (state.previous == nullptr ? first[level] : state_of(*state.previous).next) = state.next;
        (state.next == nullptr ? last[level] : state_of(*state.next).previous) = state.previous;
        if (first[level] == nullptr) occupied &= ~(1u << level);
        state.previous = state.next = nullptr;
        state.queued = false;
        --count;
    }

    /// `thread` comes to the back of `level`, which has threads, and the first of them, which is returned, leaves:
    /// insert and remove in one.
    SchedulerThread& change_places(SchedulerThread& thread, uint32_t level) {
        SchedulerThread& leaving = *first[level];
        ThreadState& state = state_of(thread);
        state.level = level;
        state.queued = true;
        state.waiting_since_ns = clock_ns;
        state.previous = last[level];
        state.next = nullptr;
        state_of(*last[level]).next = &thread;
        last[level] = &thread;
        ThreadState& left = state_of(leaving);
        first[level] = left.next;  // `thread`, if no other is there
        state_of(*left.next).previous = nullptr;
        left.previous = left.next = nullptr;
        left.queued = false;
        return leaving;
    }

    /// The thread that has waited longest, if that is at least `limit_ns`; null otherwise.
    SchedulerThread* longest_waiting(uint64_t limit_ns) const {
        SchedulerThread* oldest = nullptr;
        for (uint32_t rest = occupied; rest != 0; rest &= rest - 1) {
            SchedulerThread* candidate = first[__builtin_ctz(rest)];
            if (oldest == nullptr || state_of(*candidate).waiting_since_ns < state_of(*oldest).waiting_since_ns)
                oldest = candidate;
        }
        if (oldest != nullptr && clock_ns - state_of(*oldest).waiting_since_ns < limit_ns) return nullptr;
        return oldest;
    }

    /// Takes turns of `length_ns` between the order of levels and those who are overdue; true in the turn of the
    /// latter.
    bool in_overdue_turn(uint64_t length_ns) {
        if (clock_ns >= turn_end_ns) {
            overdue_turn = !overdue_turn;
            turn_end_ns = clock_ns + length_ns;
        }
        return overdue_turn;
    }

    /// True if links, level and age of `thread` agree with its neighbours' and with the ends of its list.
    bool holds(const SchedulerThread& thread) const {
        const ThreadState& state = state_of(thread);
        if (!state.queued || state.level >= kPriorityLevels || (occupied >> state.level & 1) == 0) return false;
        if (state.waiting_since_ns > clock_ns) return false;
        if (state.previous == nullptr ? first[state.level] != &thread : !follows(*state.previous, thread)) return false;
        return state.next == nullptr ? last[state.level] == &thread : follows(thread, *state.next);
    }

private:
    /// `behind` stands right behind `before` in one list, and has waited no longer.
    static bool follows(const SchedulerThread& before, const SchedulerThread& behind) {
        const ThreadState& one = state_of(before);
        const ThreadState& other = state_of(behind);
        return one.next == &behind && other.previous == &before && one.level == other.level &&
               one.waiting_since_ns <= other.waiting_since_ns;
    }
};

}  // namespace helix::scheduling

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What policies with levels, time slices and a waiting limit have in common.
//
// The rule: the first thread of the highest level runs, until it blocks, a higher level has a thread, or its time
// slice is used and its own level has another. Whoever has waited for the waiting limit is overdue. While some are,
// turns of one slice alternate: in one the order of levels holds, in the other the longest waiting goes first,
// whatever its level, and keeps the CPU until it blocks or its slice is used. Hence two bounds, of n threads on one
// CPU: none waits longer than limit + 4 * n * (slice + tick), since each pair of turns runs at least one that waited
// longer; and the highest level waits for the overdue at most 2 * (slice + tick) at a time, however many they are.
// Time here means time in which the CPU runs threads of this policy.
//
// A thread may ask by its attributes for turns of its own length, or for turns that last until it blocks: then equals
// wait for that, but neither more urgent threads nor overdue ones. Levels, slices and such turns are what POSIX calls
// SCHED_RR and SCHED_FIFO.
//
// Everything about threads and queues is in the areas of the CPU and its threads, under the CPU's lock.
#pragma once

#include "counted_policy.hpp"
#include "run_queues.hpp"

namespace helix::scheduling {

class LevelPolicy : public CountedPolicy {
public:
    /// `statistics`: settings and counters as JSON, those of the instances before this one included.
    Result<Response> handle_request(const Request& request) override {
        if (request.request_type != "statistics") return ErrorCode::NotImplemented;
        const Counters sum = total();
        return Response::ok(format<400>("{{\"time_slice_ms\":{},\"priority_levels\":{},\"waiting_limit_ms\":{},"
                                        "\"enqueues\":{},\"picks\":{},\"preemptions\":{},\"overdue_picks\":{},"
                                        "\"predecessors\":{}}}",
                                        slice_ns_ / kMillisecond, levels_, limit_ns_ / kMillisecond, sum.enqueues,
                                        sum.picks, sum.preemptions, sum.overdue_picks, predecessors())
                                .text());
    }

    SchedulerTraits plug_in() override { return SchedulerTraits::Preempts | turns_of(slice_ns_); }

    void enqueue(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason reason) override {
        ThreadState& state = state_of(thread);
        if (state.queued) return disagree();
        count_enqueue(cpu);
        state.keep_slice = reason == EnqueueReason::Preempted && !state.slice_used && resumes_its_slice(thread);
        state.slice_used = false;
        if (reason == EnqueueReason::Migrated)
            queues(cpu).insert_waited(thread, level_of(thread), state.waited_ns);
        else
            queues(cpu).insert(thread, level_of(thread), state.keep_slice ? QueueEnd::Front : QueueEnd::Back);
    }

    void dequeue(SchedulerCpu& cpu, SchedulerThread& thread, DequeueReason reason) override {
        if (!state_of(thread).queued) return disagree();
        if (reason == DequeueReason::Migrated) state_of(thread).waited_ns = queues(cpu).waited_ns(thread);
        queues(cpu).remove(thread);
        if (reason == DequeueReason::Picked) begin_run(thread, false);
    }

    SchedulerThread* pick_next(SchedulerCpu& cpu) override {
        RunQueues& queue = queues(cpu);
        bool is_overdue = false;
        SchedulerThread* const thread = next_of(queue, is_overdue);
        if (thread == nullptr) return nullptr;
        queue.remove(*thread);
        begin_run(*thread, is_overdue);
        Counters& counts = counters(cpu);
        ++counts.picks;
        if (is_overdue) ++counts.overdue_picks;
        return thread;
    }

    /// Turns go on with the time, as they do in pick_next.
    SchedulerThread* would_pick(SchedulerCpu& cpu) override {
        bool is_overdue = false;
        return next_of(queues(cpu), is_overdue);
    }

    /// Mostly nobody is more urgent and nobody overdue: then `thread` and the first of its equals change places.
    SchedulerThread* yield(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason reason) override {
        RunQueues& queue = queues(cpu);
        ThreadState& state = state_of(thread);
        const uint32_t level = level_of(thread);
        if (reason != EnqueueReason::Yielded || state.queued || queue.occupied >> level != 1 ||
            (in_overdue_turn(queue) &&
             (queue.occupied != 1u << level || queue.waited_ns(*queue.first[level]) >= limit_ns_))) {
            LevelPolicy::enqueue(cpu, thread, reason);
            return LevelPolicy::pick_next(cpu);
        }
        count_enqueue(cpu);
        ++counters(cpu).picks;
        state.slice_used = state.keep_slice = false;
        SchedulerThread& next = queue.change_places(thread, level);
        begin_run(next, false);
        return &next;
    }

    TickDecision tick(SchedulerCpu& cpu, uint64_t now_ns) override {
        RunQueues& queue = queues(cpu);
        queue.advance_clock(now_ns);
        if (cpu.current == nullptr) return TickDecision::Continue;
        SchedulerThread& thread = *cpu.current;
        ThreadState& state = state_of(thread);
        const uint64_t used_ns = thread.runtime_ns - state.slice_start_ns;
        const uint32_t level = level_of(thread);
        if (used_ns >= turn_ns(thread)) {
            if (queue.empty() || (queue.highest() < level && !is_anybody_overdue(queue))) {
                state.slice_start_ns = thread.runtime_ns;
                state.overdue = false;
                return TickDecision::Continue;
            }
            state.slice_used = true;
        } else {
            if (queue.empty()) return TickDecision::Continue;
            const bool is_urgent = !state.overdue && queue.highest() > level;
            const bool keeps_off = used_ns >= slice_ns_ && is_anybody_overdue(queue);
            if (!is_urgent && !keeps_off) return TickDecision::Continue;
            state.slice_used = keeps_off;
        }
        ++counters(cpu).preemptions;
        return TickDecision::Preempt;
    }

    bool should_preempt(const SchedulerCpu& cpu, const SchedulerThread& woken) const override {
        if (cpu.current == nullptr) return true;
        return !state_of(*cpu.current).overdue && level_of(woken) > level_of(*cpu.current);
    }

    void priority_changed(SchedulerCpu& cpu, SchedulerThread& thread, uint32_t, bool queued) override {
        if (queued != state_of(thread).queued) return disagree();
        if (!queued || state_of(thread).level == level_of(thread)) return;
        RunQueues& queue = queues(cpu);
        queue.remove(thread);
        queue.insert(thread, level_of(thread), QueueEnd::Back);
    }

    SchedulerStatistics statistics(const SchedulerCpu& cpu) const override { return counted(cpu, queues(cpu).count); }

    bool self_check(const SchedulerCpu& cpu, const SchedulerThread& thread) const override {
        return queues(cpu).holds(thread);
    }

    /// Each level that has threads, from the highest: how many, who is first, and how long that one has waited.
    size_t dump(const SchedulerCpu& cpu, Span<char> out) const override {
        const RunQueues& queue = queues(cpu);
        size_t size = format_to(out, "{} queued, clock {} ms, {} turn\n", queue.count, queue.clock_ns / kMillisecond,
                                queue.overdue_turn ? Text("overdue") : Text("usual"));
        for (uint32_t rest = queue.occupied; rest != 0;) {
            const uint32_t level = 31 - static_cast<uint32_t>(__builtin_clz(rest));
            rest &= ~(1u << level);
            uint32_t count = 0;
            for (const SchedulerThread* at = queue.first[level]; at != nullptr; at = state_of(*at).next) ++count;
            const SchedulerThread& first = *queue.first[level];
            size += format_to(out.subspan(size), "level {}: {}, first {}, waits {} us\n", level, count,
                              static_cast<uint64_t>(first.id), queue.waited_ns(first) / 1000);
        }
        return size;
    }

protected:
    ~LevelPolicy() = default;

    /// In init, before anything else of this class. `levels` is 1 to 32; `waiting_limit_ns` 0 means no limit.
    void configure(uint64_t slice_ns, uint32_t levels, uint64_t waiting_limit_ns) {
        slice_ns_ = slice_ns;
        levels_ = levels;
        limit_ns_ = waiting_limit_ns;
    }
    /// True if a thread that was preempted before a tick saw its slice used goes on before its equals.
    virtual bool resumes_its_slice(const SchedulerThread& thread) const = 0;
    bool has_had_its_turn(const SchedulerThread& thread) const {
        return thread.runtime_ns - state_of(thread).slice_start_ns >= turn_ns(thread);
    }

    static RunQueues& queues(SchedulerCpu& cpu) { return cpu.policy<RunQueues>(); }
    static const RunQueues& queues(const SchedulerCpu& cpu) { return cpu.policy<RunQueues>(); }

private:
    uint32_t level_of(const SchedulerThread& thread) const {
        const uint32_t priority = thread.priority < kPriorityLevels ? thread.priority : kPriorityLevels - 1;
        return priority * levels_ / kPriorityLevels;
    }
    uint64_t turn_ns(const SchedulerThread& thread) const {
        const SchedulingAttributes& wanted = thread.attributes;
        return wanted.runtime_ns == 0 || wanted.reserves() ? slice_ns_ : wanted.runtime_ns;
    }
    bool is_anybody_overdue(const RunQueues& queue) const {
        return limit_ns_ != 0 && queue.longest_waiting(limit_ns_) != nullptr;
    }
    bool in_overdue_turn(RunQueues& queue) const { return limit_ns_ != 0 && queue.in_overdue_turn(slice_ns_); }
    SchedulerThread* next_of(RunQueues& queue, bool& is_overdue) const {
        if (queue.empty()) return nullptr;
        SchedulerThread* const thread = in_overdue_turn(queue) ? queue.longest_waiting(limit_ns_) : nullptr;
        is_overdue = thread != nullptr;
        return is_overdue ? thread : queue.first[queue.highest()];
    }
    static void begin_run(SchedulerThread& thread, bool overdue) {
        ThreadState& state = state_of(thread);
        if (!state.keep_slice) state.slice_start_ns = thread.runtime_ns;
        state.keep_slice = false;
        state.slice_used = false;
        state.overdue = overdue;
    }

    uint64_t slice_ns_ = 10 * kMillisecond;
    uint64_t limit_ns_ = 0;
    uint32_t levels_ = kPriorityLevels;
};

}  // namespace helix::scheduling

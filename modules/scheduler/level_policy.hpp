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
// Everything about threads and queues is in the areas of the CPU and its threads, under the CPU's lock. The counters
// here have one writer for each CPU.
#pragma once

#include "helix/interfaces/scheduler.hpp"
#include "helix/module.hpp"
#include "run_queues.hpp"

namespace helix::scheduling {

class LevelPolicy : public Implements<Scheduler> {
public:
    Result<void> start() override { return {}; }
    Result<void> stop() override { return {}; }

    /// `statistics`: settings and counters as JSON, those of the instances before this one included.
    Result<Response> handle_request(const Request& request) override {
        if (request.request_type != "statistics") return ErrorCode::NotImplemented;
        const Counters sum = total();
        return Response::ok(format<400>("{{\"time_slice_ms\":{},\"priority_levels\":{},\"waiting_limit_ms\":{},"
                                        "\"enqueues\":{},\"picks\":{},\"preemptions\":{},\"overdue_picks\":{},"
                                        "\"predecessors\":{}}}",
                                        slice_ns_ / kMillisecond, levels_, limit_ns_ / kMillisecond, sum.enqueues,
                                        sum.picks, sum.preemptions, sum.overdue_picks, predecessors_)
                                .text());
    }

    /// False once the kernel and this policy disagreed about who is queued.
    bool is_healthy() const override { return __atomic_load_n(&disagreements_, __ATOMIC_RELAXED) == 0; }

    // Saved and restored under the locks of all CPUs, so short. `counters` go on in the next policy of this kind:
    // enqueues, picks, preemptions, picks of overdue threads, instances. Settings come from the profile in every one.
    Result<void> save_state(StateWriter& state) override {
        const Counters sum = total();
        const uint64_t counters[] = {sum.enqueues, sum.picks, sum.preemptions, sum.overdue_picks, predecessors_ + 1};
        return state.put("counters", Span<const uint64_t>(counters));
    }
    /// The state of another kind of policy is no error: without `counters`, counting starts at zero.
    Result<void> restore_state(StateReader& state, Reason) override {
        uint64_t counters[5] = {0, 0, 0, 0, 1};
        const auto found = state.get_array("counters", Span<uint64_t>(counters));
        if (!found.ok() && found.error().code() != ErrorCode::NotFound) return found.error();
        inherited_ = {counters[0], counters[1], counters[2], counters[3]};
        predecessors_ = counters[4];
        return {};
    }

    void enqueue(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason reason) override {
        ThreadState& state = state_of(thread);
        if (state.queued) return disagree();
        count_cpu(cpu.id % kCpus);
        ++counters_[cpu.id % kCpus].enqueues;
        state.keep_slice = reason == EnqueueReason::Preempted && !state.slice_used && resumes_its_slice();
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
        if (queue.empty()) return nullptr;
        SchedulerThread* thread = in_overdue_turn(queue) ? queue.longest_waiting(limit_ns_) : nullptr;
        const bool is_overdue = thread != nullptr;
        if (!is_overdue) thread = queue.first[queue.highest()];
        queue.remove(*thread);
        begin_run(*thread, is_overdue);
        Counters& counters = counters_[cpu.id % kCpus];
        ++counters.picks;
        if (is_overdue) ++counters.overdue_picks;
        return thread;
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
        count_cpu(cpu.id % kCpus);
        Counters& counters = counters_[cpu.id % kCpus];
        ++counters.enqueues;
        ++counters.picks;
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
        if (state.first_tick_ns == 0) state.first_tick_ns = now_ns;
        const uint64_t consumed = consumed_ns(thread, now_ns);
        const uint32_t level = level_of(thread);
        if (consumed - state.slice_start_ns < slice_ns_) {
            if (state.overdue || queue.empty() || queue.highest() <= level) return TickDecision::Continue;
        } else {
            const bool others = !queue.empty() && (queue.highest() >= level ||
                                                   (limit_ns_ != 0 && queue.longest_waiting(limit_ns_) != nullptr));
            if (!others) {
                state.slice_start_ns = consumed;
                state.overdue = false;
                return TickDecision::Continue;
            }
            state.slice_used = true;
        }
        ++counters_[cpu.id % kCpus].preemptions;
        return TickDecision::Preempt;
    }

    bool should_preempt(const SchedulerCpu& cpu, const SchedulerThread& woken) const override {
        if (cpu.current == nullptr) return true;
        return !state_of(*cpu.current).overdue && level_of(woken) > level_of(*cpu.current);
    }

    /// Where the thread was, for its warm caches; else the waker's CPU; else the first that it may use.
    CpuId select_cpu(const SchedulerThread& thread, CpuId waker) const override {
        if (allowed(thread, thread.cpu)) return thread.cpu;
        if (allowed(thread, waker) || thread.affinity == 0) return waker;
        return static_cast<CpuId>(__builtin_ctzll(thread.affinity));
    }

    void priority_changed(SchedulerCpu& cpu, SchedulerThread& thread, uint32_t, bool queued) override {
        if (queued != state_of(thread).queued) return disagree();
        if (!queued || state_of(thread).level == level_of(thread)) return;
        RunQueues& queue = queues(cpu);
        queue.remove(thread);
        queue.insert(thread, level_of(thread), QueueEnd::Back);
    }

    SchedulerStatistics statistics(const SchedulerCpu& cpu) const override {
        const Counters& counters = counters_[cpu.id % kCpus];
        return {queues(cpu).count, counters.enqueues, counters.picks, counters.preemptions};
    }

    bool self_check(const SchedulerCpu& cpu, const SchedulerThread& thread) const override {
        return queues(cpu).holds(thread);
    }

protected:
    static constexpr uint64_t kMillisecond = 1'000'000;

    ~LevelPolicy() = default;

    /// In init, before anything else of this class. `levels` is 1 to 32; `waiting_limit_ns` 0 means no limit.
    void configure(uint64_t slice_ns, uint32_t levels, uint64_t waiting_limit_ns) {
        slice_ns_ = slice_ns;
        levels_ = levels;
        limit_ns_ = waiting_limit_ns;
    }
    /// True if a thread that was preempted before its slice was used goes on before its equals.
    virtual bool resumes_its_slice() const = 0;

    static RunQueues& queues(SchedulerCpu& cpu) { return cpu.policy<RunQueues>(); }
    static const RunQueues& queues(const SchedulerCpu& cpu) { return cpu.policy<RunQueues>(); }

private:
    static constexpr uint32_t kCpus = 64;  // as many as an affinity has bits

    struct alignas(64) Counters {
        uint64_t enqueues = 0;
        uint64_t picks = 0;
        uint64_t preemptions = 0;
        uint64_t overdue_picks = 0;
    };

    static bool allowed(const SchedulerThread& thread, CpuId cpu) {
        return cpu < kCpus && (thread.affinity >> cpu & 1) != 0;
    }

    uint32_t level_of(const SchedulerThread& thread) const {
        const uint32_t priority = thread.priority < kPriorityLevels ? thread.priority : kPriorityLevels - 1;
        return priority * levels_ / kPriorityLevels;
    }
    bool in_overdue_turn(RunQueues& queue) const { return limit_ns_ != 0 && queue.in_overdue_turn(slice_ns_); }
    static void begin_run(SchedulerThread& thread, bool overdue) {
        ThreadState& state = state_of(thread);
        if (!state.keep_slice) state.slice_start_ns = thread.runtime_ns;
        state.keep_slice = false;
        state.first_tick_ns = 0;
        state.slice_used = false;
        state.overdue = overdue;
    }
    Counters total() const {
        Counters sum = inherited_;
        for (uint32_t cpu = 0; cpu < __atomic_load_n(&cpu_limit_, __ATOMIC_RELAXED); ++cpu) {
            const Counters& counters = counters_[cpu];
            sum.enqueues += counters.enqueues;
            sum.picks += counters.picks;
            sum.preemptions += counters.preemptions;
            sum.overdue_picks += counters.overdue_picks;
        }
        return sum;
    }
    /// Every CPU enqueues before anything else worth counting.
    void count_cpu(CpuId cpu) {
        uint32_t limit = __atomic_load_n(&cpu_limit_, __ATOMIC_RELAXED);
        while (limit <= cpu &&
               !__atomic_compare_exchange_n(&cpu_limit_, &limit, cpu + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        }
    }
    void disagree() { __atomic_fetch_add(&disagreements_, 1, __ATOMIC_RELAXED); }

    uint64_t slice_ns_ = 10 * kMillisecond;
    uint64_t limit_ns_ = 0;
    uint32_t levels_ = kPriorityLevels;
    uint32_t disagreements_ = 0;
    uint32_t cpu_limit_ = 0;  ///< one more than the highest CPU that ever enqueued
    uint64_t predecessors_ = 0;
    Counters inherited_;
    Counters counters_[kCpus];
};

}  // namespace helix::scheduling

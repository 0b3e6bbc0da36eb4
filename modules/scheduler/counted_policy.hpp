// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What all policies here have in common: they count, pass the counts on, and notice when the kernel disagrees.
//
// The counters have one writer for each CPU, under its lock; whoever sums them up may see one a moment late.
#pragma once

#include "helix/interfaces/scheduler.hpp"
#include "helix/module.hpp"

namespace helix::scheduling {

inline constexpr uint64_t kMillisecond = 1'000'000;

class CountedPolicy : public Implements<Scheduler> {
public:
    Result<void> start() override { return {}; }
    Result<void> stop() override { return {}; }

    /// False once the kernel and this policy disagreed about who is queued.
    bool is_healthy() const override { return __atomic_load_n(&disagreements_, __ATOMIC_RELAXED) == 0; }

    // Saved while this policy rules. `counters` go on in the next one: enqueues, picks, preemptions, picks of overdue
    // threads, instances. Settings come from the profile in every one.
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
        // What this instance counted when it ruled before is among them.
        inherited_ = {};
        const Counters own = total();
        inherited_ = {counters[0] - own.enqueues, counters[1] - own.picks, counters[2] - own.preemptions,
                      counters[3] - own.overdue_picks};
        predecessors_ = counters[4];
        return {};
    }

    /// Where the thread was, for its warm caches; else the waker's CPU; else the first that it may use.
    CpuId select_cpu(const SchedulerThread& thread, CpuId waker) const override {
        if (allowed(thread, thread.cpu)) return thread.cpu;
        if (allowed(thread, waker) || thread.affinity == 0) return waker;
        return static_cast<CpuId>(__builtin_ctzll(thread.affinity));
    }

protected:
    static constexpr uint32_t kCpus = 64;  // as many as an affinity has bits

    struct alignas(64) Counters {
        uint64_t enqueues = 0;
        uint64_t picks = 0;
        uint64_t preemptions = 0;
        uint64_t overdue_picks = 0;
    };

    ~CountedPolicy() = default;

    static bool allowed(const SchedulerThread& thread, CpuId cpu) {
        return cpu < kCpus && (thread.affinity >> cpu & 1) != 0;
    }
    Counters& counters(const SchedulerCpu& cpu) { return counters_[cpu.id % kCpus]; }
    SchedulerStatistics counted(const SchedulerCpu& cpu, uint64_t runnable) const {
        const Counters& counters = counters_[cpu.id % kCpus];
        return {runnable, counters.enqueues, counters.picks, counters.preemptions};
    }
    /// Once for each thread that is enqueued; every CPU enqueues before it does anything else worth counting.
    void count_enqueue(const SchedulerCpu& cpu) {
        const CpuId id = cpu.id % kCpus;
        uint32_t limit = __atomic_load_n(&cpu_limit_, __ATOMIC_RELAXED);
        while (limit <= id &&
               !__atomic_compare_exchange_n(&cpu_limit_, &limit, id + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        }
        ++counters_[id].enqueues;
    }
    /// With those of the instances before this one.
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
    uint64_t predecessors() const { return predecessors_; }
    /// The members of a JSON object that every policy's `statistics` has.
    FixedText<150> counts_as_json() const {
        const Counters sum = total();
        return format<150>("\"enqueues\":{},\"picks\":{},\"preemptions\":{},\"predecessors\":{}", sum.enqueues,
                           sum.picks, sum.preemptions, predecessors_);
    }
    /// The kernel says otherwise than the queues.
    void disagree() { __atomic_fetch_add(&disagreements_, 1, __ATOMIC_RELAXED); }

private:
    uint32_t disagreements_ = 0;
    uint32_t cpu_limit_ = 0;  ///< one more than the highest CPU that ever enqueued
    uint64_t predecessors_ = 0;
    Counters inherited_;  ///< modulo 2^64: sums with it are right
    Counters counters_[kCpus];
};

}  // namespace helix::scheduling

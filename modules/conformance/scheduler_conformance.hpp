// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The conformance suite of helix.scheduler: drives a policy with threads and CPUs of its own, beside a model.
//
// The suite reads nothing
// through a pointer that a policy returned unless it is one of its own threads. One caller at a time; the policy
// must not rule at the moment. The last scenario leaves its queues empty.
#pragma once

#include "scheduler_world.hpp"

namespace helix::conformance {

/// `Target` has `call<&Scheduler::METHOD>(arguments…)` that returns a Result, like Handle<Scheduler>.
template <typename Target>
class SchedulerConformance : private SchedulerWorld<Target> {
public:
    static constexpr uint32_t kSteps = 4000;

    /// Runs every scenario; a scenario ends at its first failure.
    void run(const Target& target, uint64_t seed, Report& report) {
        target_ = &target;
        report_ = &report;
        seed_ = seed;
        alive_ = true;
        const struct {
            Text name;
            bool (SchedulerConformance::*body)();
        } kScenarios[] = {
            {"empty queues give nothing", &SchedulerConformance::empty_queues},
            {"what goes in comes out once", &SchedulerConformance::in_and_out},
            {"random operations with the policy ruling", &SchedulerConformance::random_ruling},
            {"random operations with the policy mirrored, then ruling", &SchedulerConformance::random_mirrored},
            {"a snapshot, then ruling", &SchedulerConformance::snapshot},
            {"a migrated thread leaves its CPU", &SchedulerConformance::migration},
            {"equals share the CPU by time", &SchedulerConformance::equals_share_by_time},
            {"equals share the CPU by giving way", &SchedulerConformance::equals_share_by_yield},
            {"equals that are preempted run on", &SchedulerConformance::preempted_run_on},
            {"a CPU is chosen from the affinity", &SchedulerConformance::affinity},
            {"the least urgent among urgent ones", &SchedulerConformance::starvation},
            {"turns are as short as promised", &SchedulerConformance::turns_as_promised},
            {"a reservation that is granted is kept", &SchedulerConformance::reservations_kept},
            {"a CPU leaves and comes back", &SchedulerConformance::cpu_leaves},
            {"a dump stays within its span", &SchedulerConformance::dump},
            {"asked whom it would pick while mirrored, then ruling", &SchedulerConformance::asked_beside},
        };
        for (const auto& scenario : kScenarios) {
            if (!alive_) return;
            scenario_ = scenario.name;
            reset();
            const bool passed = (this->*scenario.body)();
            if (alive_ && passed) drain();
        }
    }

private:
    using World = SchedulerWorld<Target>;
    using typename World::Place;
    using World::alive_;
    using World::answered;
    using World::any;
    using World::block;
    using World::consistent;
    using World::cpus_;
    using World::current;
    using World::dequeue;
    using World::drain;
    using World::enqueue;
    using World::kCpus;
    using World::kThreads;
    using World::leave;
    using World::may_move;
    using World::model_;
    using World::pick;
    using World::random_;
    using World::renew;
    using World::report_;
    using World::reset;
    using World::scenario_;
    using World::seed_;
    using World::select;
    using World::set_any_attributes;
    using World::set_attributes;
    using World::target_;
    using World::threads_;
    using World::tick;
    using World::traits_;
    using World::untouched;
    using World::would_pick;
    using World::yield;

    bool empty_queues() {
        for (uint32_t cpu = 0; cpu < kCpus; ++cpu) {
            bool preempt = false;
            if (!pick(cpu) || !tick(cpu, 1'000'000, 0, preempt) || !pick(cpu)) return false;
        }
        return consistent();
    }

    bool in_and_out() {
        for (uint32_t i = 0; i < kThreads; ++i) {
            renew(i, i % kPriorityLevels);
            if (!enqueue(i, i % kCpus, EnqueueReason::Created) || !consistent()) return false;
        }
        return true;
    }

    /// What a kernel may do while a policy rules (or is mirrored) on two CPUs, in random order.
    bool random_step(bool mirrored) {
        const CpuId cpu = random_.below(kCpus);
        const uint32_t running = current(cpu);
        bool preempt = false;
        switch (random_.below(13)) {
            case 0:
            case 1:
            case 2: {  // somebody becomes runnable
                const uint32_t i = any(Place::Nowhere);
                if (i == kThreads) return true;
                CpuId chosen = 0;
                if (!select(i, cpu, chosen)) return false;
                if (chosen >= kCpus) return true;
                const bool fresh = model_[i].runtime_ns == 0;
                if (!enqueue(i, chosen, fresh ? EnqueueReason::Created : EnqueueReason::Woken)) return false;
                return answered(target_->template call<&Scheduler::should_preempt>(cpus_[chosen], threads_[i]));
            }
            case 3:
            case 4:
            case 5: {  // an idle CPU picks
                if (running != kThreads) return true;
                if (!mirrored) return pick(cpu);
                const uint32_t i = any(Place::Queued, cpu);
                return i == kThreads || dequeue(i, DequeueReason::Picked);
            }
            case 6:
            case 7: {  // time passes
                const uint64_t period_ns = 100'000 + random_.below(20'000'000);
                if (!tick(cpu, period_ns, 1 + random_.below(static_cast<uint32_t>(period_ns)), preempt)) return false;
                if (running == kThreads || (!preempt && !(mirrored && random_.below(4) == 0))) return true;
                return enqueue(leave(cpu, random_.below(1000)), cpu, EnqueueReason::Preempted);
            }
            case 8: {  // the running thread yields, or a more urgent one takes its place
                if (running == kThreads) return true;
                const uint64_t used_ns = 1 + random_.below(1'000'000);
                const EnqueueReason reason = random_.below(2) == 0 ? EnqueueReason::Yielded : EnqueueReason::Preempted;
                if (!mirrored && random_.below(4) != 0) return yield(cpu, used_ns, reason);
                return enqueue(leave(cpu, used_ns), cpu, reason);
            }
            case 9: {  // it blocks, or ends
                if (running == kThreads) return true;
                const bool ends = random_.below(4) == 0;
                if (!block(cpu, 1 + random_.below(1'000'000), ends ? BlockReason::Ended : BlockReason::Blocked))
                    return false;
                if (ends) renew(running, random_.below(kPriorityLevels), 1 + random_.below(3));
                return true;
            }
            case 10: {  // a waiting thread is ended or goes to the other CPU
                const uint32_t i = any(Place::Queued, cpu);
                if (i == kThreads) return true;
                if (random_.below(2) == 0) {
                    if (!dequeue(i, DequeueReason::Ended)) return false;
                    renew(i, random_.below(kPriorityLevels), 1 + random_.below(3));
                    return true;
                }
                if (model_[i].affinity != 3 || !may_move(i, cpu ^ 1)) return alive_;
                return dequeue(i, DequeueReason::Migrated) && enqueue(i, cpu ^ 1, EnqueueReason::Migrated);
            }
            case 11:  // somebody asks for something, or for nothing any more
                return set_any_attributes(random_.below(kThreads), mirrored);
            default: {  // a priority changes
                const uint32_t i = random_.below(kThreads);
                const uint32_t old_priority = model_[i].priority;
                model_[i].priority = threads_[i].priority = random_.below(kPriorityLevels);
                const bool queued = model_[i].place == Place::Queued;
                return answered(target_->template call<&Scheduler::priority_changed>(cpus_[model_[i].cpu], threads_[i],
                                                                                     old_priority, queued));
            }
        }
    }
    bool random_steps(bool mirrored, uint32_t steps) {
        for (uint32_t step = 0; step < steps; ++step) {
            if (!random_step(mirrored)) return false;
            if (step % 16 == 0 && !(consistent() && untouched())) return false;
        }
        return true;
    }
    bool random_ruling() { return random_steps(false, kSteps); }
    bool random_mirrored() { return random_steps(true, kSteps / 2) && random_steps(false, kSteps / 2); }

    /// Not of one that picks what it likes: it might put that back.
    bool asked_beside() {
        if (report_->failures() != 0) return false;
        for (uint32_t step = 0; step < kSteps / 4; ++step)
            if (!random_step(true) || !would_pick(random_.below(kCpus)) || !(consistent() && untouched())) return false;
        return random_steps(false, kSteps / 4);
    }

    bool snapshot() {
        for (uint32_t cpu = 0; cpu < kCpus; ++cpu) {  // threads that run at the moment are never enqueued first
            model_[cpu] = {Place::Running, cpu, kDefaultPriority, 3, 777'000'000'000, model_[cpu].id, {}};
            threads_[cpu].cpu = cpu;
            threads_[cpu].runtime_ns = model_[cpu].runtime_ns;
            cpus_[cpu].current = &threads_[cpu];
        }
        for (uint32_t i = kCpus; i < kThreads; ++i) {
            renew(i, random_.below(kPriorityLevels));
            if (i % 5 != 0 && !enqueue(i, i % kCpus, EnqueueReason::Snapshot)) return false;
        }
        return consistent() && random_steps(false, kSteps / 4);
    }

    bool migration() {
        for (uint32_t i = 0; i < 8; ++i)
            if (!enqueue(i, 0, EnqueueReason::Created)) return false;
        for (uint32_t i = 0; i < 8; i += 2)
            if (!dequeue(i, DequeueReason::Migrated) || !enqueue(i, 1, EnqueueReason::Migrated)) return false;
        return consistent();
    }

    static constexpr uint32_t kEquals = 8;
    static constexpr uint64_t kTurnNs = 50'000'000;
    /// A round of all equals, with slices of a second.
    static constexpr uint32_t kRoundTicks = kEquals * 1050 / 50 + 2 * kEquals;

    /// Threads of one priority that never block. `kGivesWay`: the one that runs does so after each tick. Each runs
    /// again within `round_ticks`.
    bool equals_share(bool gives_way, EnqueueReason reason, uint32_t round_ticks) {
        uint32_t ticks_since[kEquals] = {};
        for (uint32_t i = 0; i < kEquals; ++i)
            if (!enqueue(i, 0, EnqueueReason::Created)) return false;
        if (!pick(0)) return false;
        for (uint32_t step = 0; step < 6 * kRoundTicks; ++step) {
            const uint32_t running = current(0);
            bool preempt = false;
            if (!tick(0, kTurnNs, kTurnNs, preempt)) return false;
            for (uint32_t i = 0; i < kEquals; ++i) {
                ticks_since[i] = i == running ? 0 : ticks_since[i] + 1;
                if (!report_->check(ticks_since[i] <= round_ticks, scenario_,
                                    "thread {} of {} equals did not run for {} ms", i, kEquals,
                                    ticks_since[i] * kTurnNs / 1'000'000))
                    return false;
            }
            if ((gives_way || preempt) && !yield(0, 0, gives_way ? reason : EnqueueReason::Preempted)) return false;
        }
        return true;
    }
    /// A policy that does not promise to preempt lets whoever runs go on.
    bool equals_share_by_time() {
        if (!has(traits_, SchedulerTraits::Preempts)) return true;
        return equals_share(false, EnqueueReason::Preempted, kRoundTicks);
    }
    /// Whoever yields lets its equals go first, by every policy, and after the time of one turn in which all had one.
    bool equals_share_by_yield() { return equals_share(true, EnqueueReason::Yielded, 2 * kEquals); }
    /// Whoever is preempted at each tick, perhaps for threads of the kernel, has its turn and no more.
    bool preempted_run_on() {
        if (!has(traits_, SchedulerTraits::Preempts)) return true;
        return equals_share(true, EnqueueReason::Preempted, kRoundTicks);
    }

    bool affinity() {
        for (uint32_t bit = 0; bit < 64; ++bit) {
            for (CpuId waker = 0; waker < kCpus; ++waker) {
                CpuId chosen = 0;
                renew(0, kDefaultPriority, uint64_t{1} << bit);
                if (!select(0, waker, chosen)) return false;
                renew(0, kDefaultPriority, ~uint64_t{0} << bit);
                if (!select(0, waker, chosen)) return false;
            }
        }
        renew(0);
        return true;
    }

    /// No check: a policy need not promise progress across priorities. Reports how long the least urgent waited.
    bool starvation() {
        constexpr uint64_t kPeriodNs = 5'000'000;
        constexpr uint32_t kTicks = 4000;
        renew(0, 0);
        renew(1, kPriorityLevels - 1);
        if (!enqueue(0, 0, EnqueueReason::Created) || !enqueue(1, 0, EnqueueReason::Created)) return false;
        for (uint32_t step = 0; step < kTicks; ++step) {
            if (current(0) == kThreads && !pick(0)) return false;
            if (current(0) == 0 && step > 0) {
                report_->measured("least_urgent_waited_ms", step * kPeriodNs / 1'000'000);
                return true;
            }
            bool preempt = false;
            if (!tick(0, kPeriodNs, kPeriodNs, preempt)) return false;
            if (preempt && !enqueue(leave(0, 0), 0, EnqueueReason::Preempted)) return false;
        }
        return true;
    }

    static constexpr uint64_t kMs = 1'000'000;

    /// Equals that never block: each has its turn again within four rounds of what the policy promises, which is what
    /// the kernel allows, too.
    bool turns_as_promised() {
        const uint64_t turn_ms = promised_turn_ms(traits_);
        if (turn_ms == 0) return true;
        constexpr uint32_t kTakeTurns = 4;
        const uint64_t tick_ms = turn_ms < 20 ? 1 : turn_ms / 20;
        const uint64_t longest = 4 * kTakeTurns * (turn_ms / tick_ms + 1);
        uint64_t ticks_since[kTakeTurns] = {};
        for (uint32_t i = 0; i < kTakeTurns; ++i)
            if (!enqueue(i, 0, EnqueueReason::Created)) return false;
        if (!pick(0)) return false;
        for (uint64_t step = 0; step < 3 * longest; ++step) {
            const uint32_t running = current(0);
            bool preempt = false;
            if (!tick(0, tick_ms * kMs, tick_ms * kMs, preempt)) return false;
            for (uint32_t i = 0; i < kTakeTurns; ++i) {
                ticks_since[i] = i == running ? 0 : ticks_since[i] + 1;
                if (!report_->check(ticks_since[i] <= longest, scenario_,
                                    "thread {} of {} equals did not run for {} ms, with promised turns of {} ms", i,
                                    kTakeTurns, ticks_since[i] * tick_ms, turn_ms))
                    return false;
            }
            if (preempt && !yield(0, 0, EnqueueReason::Preempted)) return false;
        }
        return consistent();
    }

    /// What is granted is kept, for a thread that wants all of it and more, beside others without a reservation.
    bool reservations_kept() {
        constexpr uint64_t kRuntimeMs = 10;
        constexpr uint64_t kPeriodMs = 20;
        constexpr uint32_t kHogs = 7;
        SchedulingAttributes wanted;
        wanted.runtime_ns = kRuntimeMs * kMs;
        wanted.period_ns = kPeriodMs * kMs;
        bool granted = false;
        CpuId cpu = 0;
        if (!set_attributes(0, wanted, false, granted)) return false;
        if (!granted) return true;
        if (!select(0, 0, cpu)) return false;
        if (!report_->check(cpu < kCpus, scenario_, "select_cpu chose CPU {}, which takes no part", cpu)) return false;
        for (uint32_t i = 1; i <= kHogs; ++i)
            if (!enqueue(i, cpu, EnqueueReason::Created)) return false;
        if (!pick(cpu) || !enqueue(0, cpu, EnqueueReason::Created)) return false;
        if (!yield(cpu, 0, EnqueueReason::Preempted)) return false;
        for (uint32_t period = 0; period < 50; ++period) {
            const uint64_t before_ns = model_[0].runtime_ns;
            for (uint64_t ms = 0; ms < kPeriodMs; ++ms) {
                bool preempt = false;
                if (!tick(cpu, kMs, kMs, preempt)) return false;
                if (preempt && !yield(cpu, 0, EnqueueReason::Preempted)) return false;
            }
            // The end of a turn may be seen a tick late.
            const uint64_t got_ms = (model_[0].runtime_ns - before_ns) / kMs;
            if (!report_->check(got_ms + 1 >= kRuntimeMs, scenario_,
                                "a thread with a granted reservation of {} ms in {} ms got {} ms", kRuntimeMs,
                                kPeriodMs, got_ms))
                return false;
        }
        return set_attributes(0, {}, false, granted) && consistent();
    }

    /// A CPU leaves while threads run and wait on it, and comes back. What waits there goes on waiting until it is
    /// moved, one after the other.
    bool cpu_leaves() {
        if (!random_steps(false, kSteps / 4)) return false;
        for (uint32_t i = 0; i < kThreads; ++i)
            if (model_[i].place == Place::Nowhere && !enqueue(i, i % kCpus, EnqueueReason::Woken)) return false;
        constexpr CpuId kLeaves = 1;
        if (current(kLeaves) == kThreads && !pick(kLeaves)) return false;
        if (!answered(target_->template call<&Scheduler::cpu_changed>(cpus_[kLeaves], false))) return false;
        if (!consistent() || !untouched()) return false;
        if (current(kLeaves) != kThreads && !enqueue(leave(kLeaves, 1000), kLeaves, EnqueueReason::Preempted))
            return false;
        for (uint32_t i = any(Place::Queued, kLeaves); i != kThreads; i = any(Place::Queued, kLeaves))
            if (!dequeue(i, DequeueReason::Migrated) || !enqueue(i, 0, EnqueueReason::Migrated)) return false;
        if (!consistent() || !pick(kLeaves)) return false;
        for (uint32_t step = 0; step < kThreads; ++step) {
            bool preempt = false;
            if (current(0) == kThreads && !pick(0)) return false;
            if (!tick(0, 5 * kMs, 5 * kMs, preempt) || !yield(0, 0, EnqueueReason::Yielded)) return false;
        }
        if (!answered(target_->template call<&Scheduler::cpu_changed>(cpus_[kLeaves], true))) return false;
        return consistent() && untouched() && random_steps(false, kSteps / 4);
    }

    /// Dumps of CPUs with threads of all kinds, into much room and little.
    bool dump() {
        if (!random_steps(false, kSteps / 8)) return false;
        constexpr size_t kAround = 32;
        for (const size_t room : {sizeof(dumped_) - 2 * kAround, size_t{200}, size_t{33}, size_t{1}, size_t{0}}) {
            for (SchedulerCpu& cpu : cpus_) {
                __builtin_memset(dumped_, '#', sizeof(dumped_));
                const Span<char> out = room != 0 ? Span<char>(dumped_ + kAround, room) : Span<char>();
                const auto size = target_->template call<&Scheduler::dump>(cpu, out);
                if (!answered(size)) return false;
                bool outside = false;
                for (size_t i = 0; i < sizeof(dumped_); ++i)
                    outside |= (i < kAround || i >= kAround + room) && dumped_[i] != '#';
                if (!report_->check(!outside, scenario_, "dump wrote outside its {} characters", room)) return false;
                if (!report_->check(size.value() <= room, scenario_, "dump says {} characters, with room for {}",
                                    size.value(), room))
                    return false;
            }
        }
        return consistent() && untouched() && random_steps(false, kSteps / 8);
    }

    char dumped_[1200] = {};
};

}  // namespace helix::conformance

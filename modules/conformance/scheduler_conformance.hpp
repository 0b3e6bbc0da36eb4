// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The conformance suite of helix.scheduler: drives a policy with threads and CPUs of its own, beside a model.
//
// The model knows where each thread is; whatever a policy answers must agree with it. The suite reads nothing
// through a pointer that a policy returned unless it is one of its own threads. One caller at a time; the policy
// must not rule at the moment. The last scenario leaves its queues empty.
#pragma once

#include "helix/interfaces/scheduler.hpp"
#include "helix/result.hpp"
#include "report.hpp"

namespace helix::conformance {

/// `Target` has `call<&Scheduler::METHOD>(arguments…)` that returns a Result, like Handle<Scheduler>.
template <typename Target>
class SchedulerConformance {
public:
    static constexpr uint32_t kThreads = 48;
    static constexpr uint32_t kCpus = 2;
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
    enum class Place : uint32_t { Nowhere, Queued, Running };
    struct Model {
        Place place;
        CpuId cpu;
        uint32_t priority;
        uint64_t affinity;
        uint64_t runtime_ns;
        ThreadId id;
        SchedulingAttributes attributes;
    };

    // ---- The world that the policy sees.

    void reset() {
        random_ = Random(seed_);
        now_ns_ = 1'000'000'000;
        next_id_ = 1;
        // Its areas are as new, which is what being plugged in means.
        const auto traits = target_->template call<&Scheduler::plug_in>();
        if (!answered(traits)) return;
        traits_ = traits.value();
        for (uint32_t i = 0; i < kThreads; ++i) renew(i);
        for (uint32_t i = 0; i < kCpus; ++i) {
            cpus_[i].id = i;
            cpus_[i].reserved = 0;
            cpus_[i].current = nullptr;
            cpus_[i].now_ns = now_ns_;
            __builtin_memset(cpus_[i].area, 0, sizeof(cpus_[i].area));
            picks_[i] = enqueues_[i] = 0;
            const auto statistics = target_->template call<&Scheduler::statistics>(cpus_[i]);
            if (!answered(statistics)) return;
            before_[i] = statistics.value();
            if (!answered(target_->template call<&Scheduler::cpu_changed>(cpus_[i], true))) return;
        }
    }
    /// A new thread in place of one that left for good.
    void renew(uint32_t i, uint32_t priority = kDefaultPriority, uint64_t affinity = 3) {
        model_[i] = {Place::Nowhere, 0, priority, affinity, 0, ThreadId(next_id_++), {}};
        SchedulerThread& thread = threads_[i];
        thread.id = model_[i].id;
        thread.priority = priority;
        thread.affinity = affinity;
        thread.runtime_ns = 0;
        thread.cpu = 0;
        thread.reserved = 0;
        thread.attributes = {};
        __builtin_memset(thread.area, 0, sizeof(thread.area));
    }
    uint32_t index_of(const SchedulerThread* thread) const {
        for (uint32_t i = 0; i < kThreads; ++i)
            if (thread == &threads_[i]) return i;
        return kThreads;
    }
    uint32_t queued_on(CpuId cpu) const {
        uint32_t count = 0;
        for (const Model& model : model_) count += model.place == Place::Queued && model.cpu == cpu;
        return count;
    }
    /// A random thread at `place` (on `cpu`, unless it is kCpus), or kThreads.
    uint32_t any(Place place, CpuId cpu = kCpus) {
        const uint32_t start = random_.below(kThreads);
        for (uint32_t i = 0; i < kThreads; ++i) {
            const uint32_t candidate = (start + i) % kThreads;
            const Model& model = model_[candidate];
            if (model.place == place && (cpu == kCpus || model.cpu == cpu)) return candidate;
        }
        return kThreads;
    }

    // ---- Calls, each with its place in the model. False ends the scenario.

    template <typename R>
    bool answered(const R& result) {
        if (result.ok()) return true;
        alive_ = false;
        report_->fail(scenario_, result.error().sentence());
        return false;
    }
    bool enqueue(uint32_t i, CpuId cpu, EnqueueReason reason) {
        model_[i].place = Place::Queued;
        model_[i].cpu = cpu;
        threads_[i].cpu = cpu;
        ++enqueues_[cpu];
        return answered(target_->template call<&Scheduler::enqueue>(cpus_[cpu], threads_[i], reason));
    }
    bool dequeue(uint32_t i, DequeueReason reason) {
        const CpuId cpu = model_[i].cpu;
        model_[i].place = reason == DequeueReason::Picked ? Place::Running : Place::Nowhere;
        if (reason == DequeueReason::Picked) cpus_[cpu].current = &threads_[i];
        return answered(target_->template call<&Scheduler::dequeue>(cpus_[cpu], threads_[i], reason));
    }
    bool pick(CpuId cpu) { return picked("pick_next", cpu, target_->template call<&Scheduler::pick_next>(cpus_[cpu])); }
    /// The running thread gives way after `used_ns`, or goes on.
    bool yield(CpuId cpu, uint64_t used_ns, EnqueueReason reason) {
        const uint32_t i = current(cpu);
        use(i, used_ns);
        model_[i].place = Place::Queued;
        model_[i].cpu = cpu;
        ++enqueues_[cpu];
        return picked("yield", cpu, target_->template call<&Scheduler::yield>(cpus_[cpu], threads_[i], reason));
    }
    /// `method` answered `answer`: that thread runs, if it may.
    template <typename R>
    bool picked(Text method, CpuId cpu, const R& answer) {
        if (!answered(answer)) return false;
        const uint32_t waiting = queued_on(cpu);
        if (answer.value() == nullptr)
            return report_->check(waiting == 0, scenario_, "{} gave nothing while {} threads waited", method, waiting);
        const uint32_t i = index_of(answer.value());
        if (!report_->check(i < kThreads, scenario_, "{} returned a thread that was never enqueued", method))
            return false;
        if (!report_->check(model_[i].place != Place::Running, scenario_, "thread {} was picked while it ran", i))
            return false;
        if (!report_->check(model_[i].place == Place::Queued && model_[i].cpu == cpu, scenario_,
                            "thread {} was picked on CPU {}, where it did not wait", i, cpu))
            return false;
        model_[i].place = Place::Running;
        cpus_[cpu].current = &threads_[i];
        ++picks_[cpu];
        return true;
    }
    /// Whom it would pick waits, and goes on waiting. What it counts meanwhile is its own affair.
    bool would_pick(CpuId cpu) {
        const auto answer = target_->template call<&Scheduler::would_pick>(cpus_[cpu]);
        if (!answered(answer)) return false;
        const uint32_t waiting = queued_on(cpu);
        const uint32_t i = index_of(answer.value());
        const bool waits = i < kThreads && model_[i].place == Place::Queued && model_[i].cpu == cpu;
        if (!report_->check(waiting == 0 ? answer.value() == nullptr : waits, scenario_,
                            "would_pick named nobody of the {} threads that wait on CPU {}", waiting, cpu))
            return false;
        const auto statistics = target_->template call<&Scheduler::statistics>(cpus_[cpu]);
        if (!answered(statistics)) return false;
        before_[cpu].enqueues = statistics.value().enqueues - enqueues_[cpu];
        before_[cpu].picks = statistics.value().picks - picks_[cpu];
        return true;
    }
    uint32_t current(CpuId cpu) const {
        return cpus_[cpu].current == nullptr ? kThreads : index_of(cpus_[cpu].current);
    }
    /// Takes the running thread off the CPU after `used_ns` there; it is to be enqueued again.
    uint32_t leave(CpuId cpu, uint64_t used_ns) {
        const uint32_t i = current(cpu);
        cpus_[cpu].current = nullptr;
        model_[i].place = Place::Nowhere;
        use(i, used_ns);
        return i;
    }
    /// The same where it blocks or ends.
    bool block(CpuId cpu, uint64_t used_ns, BlockReason reason) {
        const uint32_t i = current(cpu);
        use(i, used_ns);
        model_[i].place = Place::Nowhere;
        const bool told = !has(traits_, SchedulerTraits::WantsBlock) ||
                          answered(target_->template call<&Scheduler::block>(cpus_[cpu], threads_[i], reason));
        cpus_[cpu].current = nullptr;
        return told;
    }
    void use(uint32_t i, uint64_t used_ns) {
        model_[i].runtime_ns += used_ns;
        threads_[i].runtime_ns = model_[i].runtime_ns;
    }
    /// Time passes, and whoever runs has used `used_ns` of it.
    bool tick(CpuId cpu, uint64_t period_ns, uint64_t used_ns, bool& preempt) {
        now_ns_ += period_ns;
        for (SchedulerCpu& each : cpus_) each.now_ns = now_ns_;
        if (const uint32_t i = current(cpu); i != kThreads) use(i, used_ns);
        const auto decision = target_->template call<&Scheduler::tick>(cpus_[cpu], now_ns_);
        if (!answered(decision)) return false;
        preempt = decision.value() == TickDecision::Preempt;
        return report_->check(decision.value() == TickDecision::Continue || preempt, scenario_,
                              "tick answered {}, which is no decision", static_cast<uint32_t>(decision.value()));
    }
    bool may_move(uint32_t i, CpuId to) {
        if (!has(traits_, SchedulerTraits::PlacesThreads)) return true;
        const auto may = target_->template call<&Scheduler::may_move>(threads_[i], to);
        return answered(may) && may.value();
    }
    bool set_attributes(uint32_t i, bool mirrored) {
        SchedulingAttributes wanted;
        if (random_.below(3) == 0) wanted.weight = 16 + random_.below(4000);
        if (random_.below(3) == 0) {
            wanted.period_ns = 1'000'000 + random_.below(100'000'000);
            wanted.runtime_ns = 1 + random_.below(static_cast<uint32_t>(wanted.period_ns / 4));
        } else if (random_.below(2) == 0) {
            wanted.runtime_ns = 1 + random_.below(50'000'000);
        }
        const bool queued = model_[i].place == Place::Queued;
        const auto granted =
            target_->template call<&Scheduler::set_attributes>(cpus_[model_[i].cpu], threads_[i], wanted, queued);
        if (!answered(granted)) return false;
        if (!report_->check(granted.value() || wanted.reserves(), scenario_,
                            "attributes that reserve nothing were refused for thread {}", i))
            return false;
        if (granted.value() || mirrored) threads_[i].attributes = model_[i].attributes = wanted;
        return true;
    }
    bool select(uint32_t i, CpuId waker, CpuId& out) {
        const auto selected = target_->template call<&Scheduler::select_cpu>(threads_[i], waker);
        if (!answered(selected)) return false;
        out = selected.value();
        return report_->check(out < 64 && (threads_[i].affinity >> out & 1) != 0, scenario_,
                              "select_cpu chose CPU {} for a thread with affinity {:x}", out, threads_[i].affinity);
    }
    bool consistent() {
        for (uint32_t i = 0; i < kThreads; ++i) {
            if (model_[i].place != Place::Queued) continue;
            const auto sound = target_->template call<&Scheduler::self_check>(cpus_[model_[i].cpu], threads_[i]);
            if (!answered(sound)) return false;
            if (!report_->check(sound.value(), scenario_, "self_check failed for thread {} on CPU {}", i,
                                model_[i].cpu))
                return false;
        }
        for (uint32_t cpu = 0; cpu < kCpus; ++cpu) {
            const auto statistics = target_->template call<&Scheduler::statistics>(cpus_[cpu]);
            if (!answered(statistics)) return false;
            const SchedulerStatistics& now = statistics.value();
            const uint32_t waiting = queued_on(cpu);
            if (!report_->check(now.runnable == waiting, scenario_,
                                "statistics counts {} threads on CPU {}, {} wait there", now.runnable, cpu, waiting))
                return false;
            if (!report_->check(now.enqueues - before_[cpu].enqueues == enqueues_[cpu], scenario_,
                                "statistics counts {} enqueues on CPU {} after {}",
                                now.enqueues - before_[cpu].enqueues, cpu, enqueues_[cpu]))
                return false;
            if (!report_->check(now.picks - before_[cpu].picks == picks_[cpu], scenario_,
                                "statistics counts {} picks on CPU {} after {}", now.picks - before_[cpu].picks, cpu,
                                picks_[cpu]))
                return false;
        }
        return true;
    }
    /// Not member by member: that might become a call of the C library, which modules do not have.
    static bool same_attributes(const SchedulingAttributes& a, const SchedulingAttributes& b) {
        return ((a.weight ^ b.weight) | (a.reserved ^ b.reserved) | (a.runtime_ns ^ b.runtime_ns) |
                (a.deadline_ns ^ b.deadline_ns) | (a.period_ns ^ b.period_ns)) == 0;
    }
    /// What belongs to the kernel must be as the kernel left it.
    bool untouched() {
        for (uint32_t i = 0; i < kThreads; ++i) {
            const SchedulerThread& thread = threads_[i];
            const Model& model = model_[i];
            const bool same = thread.id == model.id && thread.priority == model.priority &&
                              thread.affinity == model.affinity && thread.runtime_ns == model.runtime_ns &&
                              thread.reserved == 0 && same_attributes(thread.attributes, model.attributes);
            if (!report_->check(same, scenario_, "the policy wrote into thread {} outside its area", i)) return false;
        }
        return true;
    }
    /// Everybody still queued comes out, once, and then nobody.
    bool drain() {
        for (uint32_t cpu = 0; cpu < kCpus; ++cpu) {
            if (cpus_[cpu].current != nullptr && !block(cpu, 1000, BlockReason::Ended)) return false;
            for (uint32_t waiting = queued_on(cpu); waiting > 0; --waiting) {
                if (!pick(cpu)) return false;
                if (!report_->check(cpus_[cpu].current != nullptr, scenario_, "{} threads were lost on CPU {}", waiting,
                                    cpu) ||
                    !block(cpu, 1000, BlockReason::Ended))
                    return false;
            }
            if (!pick(cpu)) return false;
        }
        return consistent() && untouched();
    }

    // ---- Scenarios.

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
                return set_attributes(random_.below(kThreads), mirrored);
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

    const Target* target_ = nullptr;
    Report* report_ = nullptr;
    Text scenario_;
    uint64_t seed_ = 0;
    bool alive_ = true;
    SchedulerTraits traits_ = SchedulerTraits::None;
    Random random_{0};
    uint64_t now_ns_ = 0;
    uint32_t next_id_ = 1;
    uint64_t picks_[kCpus] = {};
    uint64_t enqueues_[kCpus] = {};
    SchedulerStatistics before_[kCpus] = {};
    Model model_[kThreads] = {};
    SchedulerThread threads_[kThreads] = {};
    SchedulerCpu cpus_[kCpus] = {};
};

}  // namespace helix::conformance

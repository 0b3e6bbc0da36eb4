// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The world that the conformance suite of helix.scheduler shows to a policy: threads, CPUs, time, and a model of them.
//
// The model knows where each thread is; whatever a policy answers must agree with it.
#pragma once

#include "helix/interfaces/scheduler.hpp"
#include "helix/result.hpp"
#include "report.hpp"

namespace helix::conformance {

/// `Target` has `call<&Scheduler::METHOD>(arguments…)` that returns a Result, like Handle<Scheduler>.
template <typename Target>
class SchedulerWorld {
public:
    static constexpr uint32_t kThreads = 48;
    static constexpr uint32_t kCpus = 2;

protected:
    ~SchedulerWorld() = default;

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
            picks_[i] = enqueues_[i] = preemptions_[i] = 0;
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
        preemptions_[cpu] += preempt;
        return report_->check(decision.value() == TickDecision::Continue || preempt, scenario_,
                              "tick answered {}, which is no decision", static_cast<uint32_t>(decision.value()));
    }
    bool may_move(uint32_t i, CpuId to) {
        if (!has(traits_, SchedulerTraits::PlacesThreads)) return true;
        const auto may = target_->template call<&Scheduler::may_move>(threads_[i], to);
        return answered(may) && may.value();
    }
    bool set_any_attributes(uint32_t i, bool mirrored) {
        SchedulingAttributes wanted;
        if (random_.below(3) == 0) wanted.weight = 16 + random_.below(4000);
        if (random_.below(3) == 0) {
            wanted.period_ns = 1'000'000 + random_.below(100'000'000);
            wanted.runtime_ns = 1 + random_.below(static_cast<uint32_t>(wanted.period_ns / 4));
        } else if (random_.below(2) == 0) {
            wanted.runtime_ns = 1 + random_.below(50'000'000);
        }
        bool granted = false;
        return set_attributes(i, wanted, mirrored, granted);
    }
    bool set_attributes(uint32_t i, const SchedulingAttributes& wanted, bool mirrored, bool& granted) {
        const bool queued = model_[i].place == Place::Queued;
        const auto answer =
            target_->template call<&Scheduler::set_attributes>(cpus_[model_[i].cpu], threads_[i], wanted, queued);
        if (!answered(answer)) return false;
        granted = answer.value();
        if (granted || mirrored) threads_[i].attributes = model_[i].attributes = wanted;
        return report_->check(granted || wanted.reserves(), scenario_,
                              "attributes that reserve nothing were refused for thread {}", i);
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
            if (!report_->check(now.preemptions - before_[cpu].preemptions == preemptions_[cpu], scenario_,
                                "statistics counts {} preemptions on CPU {} after {}",
                                now.preemptions - before_[cpu].preemptions, cpu, preemptions_[cpu]))
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
    uint64_t preemptions_[kCpus] = {};
    SchedulerStatistics before_[kCpus] = {};
    Model model_[kThreads] = {};
    SchedulerThread threads_[kThreads] = {};
    SchedulerCpu cpus_[kCpus] = {};
};

}  // namespace helix::conformance

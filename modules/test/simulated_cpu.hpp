// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// One CPU of a kernel that is not there: asks a policy what the kernel would ask, while a test makes things happen.
#pragma once

#include "helix/interfaces/scheduler.hpp"

namespace helix::test_support {

/// Time passes by `run` alone. Whoever becomes runnable runs at once if nobody else does, or if the policy says so.
class SimulatedCpu {
public:
    explicit SimulatedCpu(Scheduler& policy, CpuId id = 0) : policy_(policy) {
        traits_ = policy.plug_in();
        view_.id = id;
        view_.now_ns = 1'000'000'000;
        policy.cpu_changed(view_, true);
    }

    static SchedulerThread& prepare(SchedulerThread& thread, uint32_t id, uint32_t priority = kDefaultPriority) {
        thread = {};
        thread.id = ThreadId(id);
        thread.priority = priority;
        thread.affinity = ~uint64_t{0};
        return thread;
    }

    SchedulerCpu& view() { return view_; }
    SchedulerThread* current() const { return view_.current; }
    uint64_t now_ns() const { return view_.now_ns; }

    void wake(SchedulerThread& thread, EnqueueReason reason) {
        thread.cpu = view_.id;
        policy_.enqueue(view_, thread, reason);
        if (view_.current == nullptr)
            view_.current = policy_.pick_next(view_);
        else if (policy_.should_preempt(view_, thread))
            preempt();
    }
    void run(uint64_t duration_ns) {
        view_.now_ns += duration_ns;
        if (view_.current != nullptr) view_.current->runtime_ns += duration_ns;
    }
    void tick() {
        if (policy_.tick(view_, view_.now_ns) == TickDecision::Preempt) preempt();
    }
    /// Milliseconds, a tick at the end of each.
    void pass(uint64_t ms) {
        for (uint64_t i = 0; i < ms; ++i) {
            run(1'000'000);
            tick();
        }
    }
    void preempt() { view_.current = policy_.yield(view_, *view_.current, EnqueueReason::Preempted); }
    void yield() { view_.current = policy_.yield(view_, *view_.current, EnqueueReason::Yielded); }
    SchedulerThread& block(BlockReason reason = BlockReason::Blocked) {
        SchedulerThread& thread = *view_.current;
        if (has(traits_, SchedulerTraits::WantsBlock)) policy_.block(view_, thread, reason);
        view_.current = policy_.pick_next(view_);
        return thread;
    }
    /// Asks for attributes on behalf of `thread`, which waits here if `queued`.
    bool set_attributes(SchedulerThread& thread, const SchedulingAttributes& wanted, bool queued) {
        if (!policy_.set_attributes(view_, thread, wanted, queued)) return false;
        thread.attributes = wanted;
        return true;
    }

private:
    Scheduler& policy_;
    SchedulerTraits traits_;
    SchedulerCpu view_{};
};

}  // namespace helix::test_support

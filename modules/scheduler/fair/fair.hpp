// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Fair policy: everybody gets the share of the CPU that its weight says, by EEVDF (fair_queue.hpp).
//
// A thread's weight is that of its attributes, or follows from its priority: each step up is a quarter more, 16 is the
// usual weight. A thread that asks for turns of its own length makes requests of that length: shorter ones are served
// sooner, longer ones with fewer switches, and the share is the same. Who gives way does without the time that it is
// owed, and begins another request: somebody who is owed time goes first. Shares are those of one CPU; the kernel
// balances numbers of threads.
#pragma once

#include "../counted_policy.hpp"
#include "fair_queue.hpp"

namespace helix::scheduling {

class FairPolicy : public CountedPolicy {
public:
    static constexpr Option kOptions[] = {
        Option::duration("slice", 1'000'000, 1'000'000'000, "4ms",
                         "How long a thread would run at a time, unless it says otherwise: its request"),
    };

    Result<void> init(const Context& context) override {
        slice_ns_ = TRY(context.config_duration("slice"));
        return {};
    }

    /// `statistics`: settings and counters as JSON.
    Result<Response> handle_request(const Request& request) override {
        if (request.request_type != "statistics") return ErrorCode::NotImplemented;
        return Response::ok(format<200>("{{\"slice_us\":{},{}}}", slice_ns_ / 1000, counts_as_json()).text());
    }

    /// Of a thread that has `priority` and asks for nothing.
    static uint32_t weight_of(uint32_t priority) {
        constexpr uint32_t kWeights[kPriorityLevels] = {
            29,   36,   45,   56,   70,   88,   110,  137,  172,  215,  268,  336,   419,   524,   655,   819,
            1024, 1280, 1600, 2000, 2500, 3125, 3906, 4883, 6104, 7629, 9537, 11921, 14901, 18626, 23283, 29104};
        return kWeights[priority < kPriorityLevels ? priority : kPriorityLevels - 1];
    }

    SchedulerTraits plug_in() override {
        return SchedulerTraits::Preempts | SchedulerTraits::WantsBlock | SchedulerTraits::WantsTime |
               turns_of(slice_ns_);
    }

    void enqueue(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason reason) override {
        FairQueue& queue = queue_of(cpu);
        FairState& state = fair(thread);
        if (state.queued != 0) return disagree();
        count_enqueue(cpu);
        if (state.competes == 0) {
            charge_current(cpu);
            if (reason == EnqueueReason::Created || reason == EnqueueReason::Snapshot) state.lag_ns = 0;
            queue.join(thread, weight_for(thread, thread.attributes), slice_for(thread.attributes));
        } else {
            charge(queue, thread);
            if (reason == EnqueueReason::Yielded) {
                queue.forgo(thread);
                FairQueue::begin_request(state, slice_for(thread.attributes));
            }
        }
        queue.insert(thread);
    }

    void dequeue(SchedulerCpu& cpu, SchedulerThread& thread, DequeueReason reason) override {
        FairQueue& queue = queue_of(cpu);
        if (fair(thread).queued == 0) return disagree();
        if (reason != DequeueReason::Picked) charge_current(cpu);
        queue.remove(thread);
        if (reason == DequeueReason::Picked)
            queue.set_running(thread);
        else
            queue.leave(thread, slice_for(thread.attributes));
    }

    SchedulerThread* pick_next(SchedulerCpu& cpu) override {
        FairQueue& queue = queue_of(cpu);
        SchedulerThread* const thread = queue.best();
        if (thread == nullptr) return nullptr;
        queue.remove(*thread);
        queue.set_running(*thread);
        ++counters(cpu).picks;
        return thread;
    }

    SchedulerThread* would_pick(SchedulerCpu& cpu) override { return queue_of(cpu).best(); }

    void block(SchedulerCpu& cpu, SchedulerThread& thread, BlockReason) override {
        FairState& state = fair(thread);
        if (state.queued != 0) return disagree();
        if (state.competes == 0) return;  // it has not been seen before
        FairQueue& queue = queue_of(cpu);
        charge(queue, thread);
        queue.leave(thread, slice_for(thread.attributes));
    }

    TickDecision tick(SchedulerCpu& cpu, uint64_t) override {
        if (cpu.current == nullptr) return TickDecision::Continue;
        FairQueue& queue = queue_of(cpu);
        SchedulerThread& thread = *cpu.current;
        if (fair(thread).competes == 0) {  // it runs since before this policy was plugged in
            fair(thread).lag_ns = 0;
            queue.join(thread, weight_for(thread, thread.attributes), slice_for(thread.attributes));
            queue.set_running(thread);
        }
        if (!charge(queue, thread) || queue.empty()) return TickDecision::Continue;
        const FairState& state = fair(thread);
        const SchedulerThread& best = *queue.best();
        if (queue.is_eligible(state.virtual_ns) &&
            (state.deadline_ns <= fair(best).deadline_ns || !queue.is_eligible(fair(best).virtual_ns)))
            return TickDecision::Continue;
        ++counters(cpu).preemptions;
        return TickDecision::Preempt;
    }

    bool should_preempt(const SchedulerCpu& cpu, const SchedulerThread& woken) const override {
        if (cpu.current == nullptr || fair(*cpu.current).competes == 0) return true;
        return queue_of(cpu).is_eligible(fair(woken).virtual_ns) &&
               fair(woken).deadline_ns < fair(*cpu.current).deadline_ns;
    }

    void priority_changed(SchedulerCpu& cpu, SchedulerThread& thread, uint32_t, bool queued) override {
        if (queued != (fair(thread).queued != 0)) return disagree();
        reweigh(cpu, thread, thread.attributes);
    }
    bool set_attributes(SchedulerCpu& cpu, SchedulerThread& thread, const SchedulingAttributes& wanted,
                        bool queued) override {
        if (wanted.reserves()) return false;  // it can promise nothing by a deadline
        if (queued != (fair(thread).queued != 0))
            disagree();
        else
            reweigh(cpu, thread, wanted);
        return true;
    }

    SchedulerStatistics statistics(const SchedulerCpu& cpu) const override {
        return counted(cpu, queue_of(cpu).queued_count());
    }
    bool self_check(const SchedulerCpu& cpu, const SchedulerThread& thread) const override {
        return queue_of(cpu).holds(thread);
    }

    /// Virtual time and weights, and each queued thread by deadline: weight, lag and deadline.
    size_t dump(const SchedulerCpu& cpu, Span<char> out) const override {
        const FairQueue& queue = queue_of(cpu);
        size_t size = format_to(out, "{} queued, weight {}, virtual time {} us\n", queue.queued_count(), queue.weight(),
                                queue.virtual_time() / 1000);
        for (SchedulerThread* at = queue.first(); at != nullptr && size < out.size(); at = FairQueue::next(*at))
            size += format_to(out.subspan(size), "{}: weight {}, lag {} us, deadline {} us\n",
                              static_cast<uint64_t>(at->id), uint32_t{fair(*at).weight},
                              (queue.virtual_time() - fair(*at).virtual_ns) / 1000, fair(*at).deadline_ns / 1000);
        return size;
    }

protected:
    ~FairPolicy() = default;

    static FairQueue& queue_of(SchedulerCpu& cpu) { return cpu.policy<FairQueue>(); }
    static const FairQueue& queue_of(const SchedulerCpu& cpu) { return cpu.policy<FairQueue>(); }

private:
    static uint32_t weight_for(const SchedulerThread& thread, const SchedulingAttributes& wanted) {
        return wanted.weight != 0 ? wanted.weight : weight_of(thread.priority);
    }
    uint64_t slice_for(const SchedulingAttributes& wanted) const {
        constexpr uint64_t kLongestNs = 1'000'000'000;
        if (wanted.runtime_ns == 0 || wanted.reserves()) return slice_ns_;
        return wanted.runtime_ns < kLongestNs ? wanted.runtime_ns : kLongestNs;
    }
    /// True if that ended its request.
    bool charge(FairQueue& queue, SchedulerThread& thread) const {
        queue.charge(thread, slice_for(thread.attributes));
        if (!FairQueue::is_fulfilled(thread)) return false;
        FairQueue::begin_request(fair(thread), slice_for(thread.attributes));
        return true;
    }
    /// Before somebody joins or leaves, who then has no part in the time up to now.
    void charge_current(SchedulerCpu& cpu) const {
        if (cpu.current != nullptr && cpu.current == queue_of(cpu).running())
            queue_of(cpu).charge(*cpu.current, slice_for(cpu.current->attributes));
    }
    void reweigh(SchedulerCpu& cpu, SchedulerThread& thread, const SchedulingAttributes& wanted) {
        FairState& state = fair(thread);
        if (state.competes == 0) return;  // what it has when it joins counts
        FairQueue& queue = queue_of(cpu);
        const bool queued = state.queued != 0;
        charge_current(cpu);
        if (queued) queue.remove(thread);
        queue.reweigh(thread, weight_for(thread, wanted), slice_for(wanted));
        if (queued) queue.insert(thread);
    }

    uint64_t slice_ns_ = 4 * kMillisecond;
};

}  // namespace helix::scheduling

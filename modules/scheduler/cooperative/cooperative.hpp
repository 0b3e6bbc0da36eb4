// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Cooperative policy: who has the CPU keeps it until it blocks, yields or ends; the others wait in one line.
//
// There are no time slices, and priorities and attributes mean nothing. Threads of the kernel class still go before all
// others; whoever had to give way to one goes on behind it. A thread that computes without end keeps its CPU for good,
// and whatever waits there waits as long: on a single CPU that includes the kernel's own threads of the ordinary class.
#pragma once

#include "../counted_policy.hpp"
#include "../thread_list.hpp"

namespace helix::scheduling {

class CooperativePolicy : public CountedPolicy {
public:
    Result<void> init(const Context&) override { return {}; }

    /// `statistics`: counters as JSON.
    Result<Response> handle_request(const Request& request) override {
        if (request.request_type != "statistics") return ErrorCode::NotImplemented;
        return Response::ok(format<200>("{{{}}}", counts_as_json()).text());
    }

    SchedulerTraits plug_in() override { return SchedulerTraits::None; }

    void enqueue(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason reason) override {
        State& state = thread.policy<State>();
        if (state.queued) return disagree();
        count_enqueue(cpu);
        Line& line = cpu.policy<Line>();
        if (reason == EnqueueReason::Preempted)
            line.threads.push_front(thread);
        else
            line.threads.push_back(thread);
        state.queued = true;
        ++line.count;
    }
    void dequeue(SchedulerCpu& cpu, SchedulerThread& thread, DequeueReason) override {
        State& state = thread.policy<State>();
        if (!state.queued) return disagree();
        Line& line = cpu.policy<Line>();
        line.threads.remove(thread);
        state.queued = false;
        --line.count;
    }
    SchedulerThread* pick_next(SchedulerCpu& cpu) override {
        SchedulerThread* const thread = CooperativePolicy::would_pick(cpu);
        if (thread == nullptr) return nullptr;
        CooperativePolicy::dequeue(cpu, *thread, DequeueReason::Picked);
        ++counters(cpu).picks;
        return thread;
    }
    SchedulerThread* would_pick(SchedulerCpu& cpu) override { return cpu.policy<Line>().threads.first(); }
    TickDecision tick(SchedulerCpu&, uint64_t) override { return TickDecision::Continue; }
    bool should_preempt(const SchedulerCpu& cpu, const SchedulerThread&) const override {
        return cpu.current == nullptr;
    }
    void priority_changed(SchedulerCpu&, SchedulerThread& thread, uint32_t, bool queued) override {
        if (queued != thread.policy<State>().queued) disagree();
    }
    SchedulerStatistics statistics(const SchedulerCpu& cpu) const override {
        return counted(cpu, cpu.policy<Line>().count);
    }
    bool self_check(const SchedulerCpu& cpu, const SchedulerThread& thread) const override {
        return thread.policy<State>().queued && cpu.policy<Line>().threads.holds(thread);
    }
    /// The line, from its front.
    size_t dump(const SchedulerCpu& cpu, Span<char> out) const override {
        const Line& line = cpu.policy<Line>();
        size_t size = format_to(out, "{} queued:", line.count);
        for (SchedulerThread* at = line.threads.first(); at != nullptr && size < out.size();
             at = ThreadList<State>::next(*at))
            size += format_to(out.subspan(size), " {}", static_cast<uint64_t>(at->id));
        return size + format_to(out.subspan(size), "\n");
    }

protected:
    ~CooperativePolicy() = default;

private:
    struct State {
        ListLinks own_links;
        bool queued;
        static ListLinks& links(SchedulerThread& thread) { return thread.policy<State>().own_links; }
        static const ListLinks& links(const SchedulerThread& thread) { return thread.policy<State>().own_links; }
    };
    struct Line {
        ThreadList<State> threads;
        uint64_t count;
    };
};

}  // namespace helix::scheduling

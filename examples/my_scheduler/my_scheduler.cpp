// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A scheduler of one's own: one queue for each CPU, everybody in turn, urgent threads for longer.
//
// A thread runs for (1 + priority / 8) times the base slice, so nobody starves: with n threads each runs again
// after at most 4 * n base slices. All data is in the areas of CPUs and threads, under the CPU's lock.

#include "helix/interfaces/scheduler.hpp"
#include "helix/module.hpp"

using namespace helix;

class MyScheduler final : public Implements<Scheduler> {
public:
    static constexpr auto kInfo = ModuleInfo{"my-scheduler"}
                                      .version(1, 0, 0)
                                      .description("Everybody in turn, urgent threads for longer")
                                      .author("You")
                                      .license("MIT OR Apache-2.0")
                                      .flags(ModuleFlags::Scheduler | ModuleFlags::HotReloadable)
                                      .dependencies({"helix-execution >=1.0"})
                                      .provides({"helix.scheduler"});
    static constexpr Option kOptions[] = {
        Option::duration("base_slice", 1'000'000, 250'000'000, "5ms", "The slice of the least urgent threads"),
    };

    Result<void> init(const Context& context) override {
        base_slice_ns_ = TRY(context.config_duration("base_slice"));
        return {};
    }
    Result<void> start() override { return {}; }
    Result<void> stop() override { return {}; }

    void enqueue(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason) override {
        Queue& queue = cpu.policy<Queue>();
        Link& link = thread.policy<Link>();
        link.previous = queue.last;
        link.next = nullptr;
        (queue.last == nullptr ? queue.first : queue.last->policy<Link>().next) = &thread;
        queue.last = &thread;
        ++queue.counted.runnable;
        ++queue.counted.enqueues;
    }
    void dequeue(SchedulerCpu& cpu, SchedulerThread& thread, DequeueReason) override {
        Queue& queue = cpu.policy<Queue>();
        Link& link = thread.policy<Link>();
        (link.previous == nullptr ? queue.first : link.previous->policy<Link>().next) = link.next;
        (link.next == nullptr ? queue.last : link.next->policy<Link>().previous) = link.previous;
        link.slice_end_ns = 0;  // a slice begins at the first tick
        --queue.counted.runnable;
    }
    SchedulerThread* pick_next(SchedulerCpu& cpu) override {
        SchedulerThread* thread = would_pick(cpu);
        if (thread == nullptr) return nullptr;
        dequeue(cpu, *thread, DequeueReason::Picked);
        ++cpu.policy<Queue>().counted.picks;
        return thread;
    }
    SchedulerThread* would_pick(SchedulerCpu& cpu) override { return cpu.policy<Queue>().first; }
    TickDecision tick(SchedulerCpu& cpu, uint64_t now_ns) override {
        if (cpu.current == nullptr) return TickDecision::Continue;
        Queue& queue = cpu.policy<Queue>();
        Link& link = cpu.current->policy<Link>();
        if (link.slice_end_ns == 0) link.slice_end_ns = now_ns + base_slice_ns_ * (1 + cpu.current->priority / 8);
        if (now_ns < link.slice_end_ns || queue.first == nullptr) return TickDecision::Continue;
        ++queue.counted.preemptions;
        return TickDecision::Preempt;
    }
    bool should_preempt(const SchedulerCpu& cpu, const SchedulerThread&) const override {
        return cpu.current == nullptr;
    }
    CpuId select_cpu(const SchedulerThread& thread, CpuId) const override {
        if (thread.cpu < 64 && (thread.affinity >> thread.cpu & 1) != 0) return thread.cpu;
        return static_cast<CpuId>(__builtin_ctzll(thread.affinity));
    }
    void priority_changed(SchedulerCpu&, SchedulerThread&, uint32_t, bool) override {}  // counts at the next slice
    SchedulerStatistics statistics(const SchedulerCpu& cpu) const override { return cpu.policy<Queue>().counted; }
    bool self_check(const SchedulerCpu& cpu, const SchedulerThread& thread) const override {
        const Queue& queue = cpu.policy<Queue>();
        const Link& link = thread.policy<Link>();
        const SchedulerThread* from = link.previous == nullptr ? queue.first : link.previous->policy<Link>().next;
        const SchedulerThread* back = link.next == nullptr ? queue.last : link.next->policy<Link>().previous;
        return from == &thread && back == &thread;
    }

private:
    struct Link {  // in each thread
        SchedulerThread* previous;
        SchedulerThread* next;
        uint64_t slice_end_ns;
    };
    struct Queue {  // in each CPU
        SchedulerThread* first;
        SchedulerThread* last;
        SchedulerStatistics counted;
    };

    uint64_t base_slice_ns_ = 0;
};
HELIX_MODULE(MyScheduler)

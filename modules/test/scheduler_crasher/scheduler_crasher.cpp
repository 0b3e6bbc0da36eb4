// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A scheduler that fails in the method, and in the way, that it is told is taken out, wherever that is.

#include "../../scheduler/round_robin/round_robin.hpp"

using namespace helix;

class SchedulerCrasher final : public scheduling::RoundRobinPolicy {
public:
    static constexpr auto kInfo =
        ModuleInfo{"scheduler-crasher"}
            .version(1, 0, 0)
            .flags(ModuleFlags::Scheduler | ModuleFlags::HotReloadable | ModuleFlags::Experimental)
            .dependencies({"helix-execution >=1.0"})
            .provides({"helix.scheduler"});

    /// `arm METHOD WAY`: the next call of that method, named as in the class, fails: null, loop or stack_overflow.
    /// `dequeue_mirrored`: once another policy rules that this one follows.
    Result<Response> handle_request(const Request& request) override {
        if (request.request_type != "arm") return RoundRobinPolicy::handle_request(request);
        const Text payload = as_text(request.payload);
        const size_t space = payload.find(' ');
        if (space == SIZE_MAX) return Response::err("arm METHOD WAY");
        way_.assign(payload.substr(space + 1));
        method_.assign(payload.substr(0, space));
        crash_if("handle_request");
        return Response::ok_empty();
    }
    EventResponse handle_event(const Event& event) override {
        crash_if("handle_event");
        return RoundRobinPolicy::handle_event(event);
    }
    Result<void> init(const Context& context) override {
        context_ = &context;
        return RoundRobinPolicy::init(context);
    }
    Result<void> start() override {
        TRY(context_->subscribe("poke"));
        return RoundRobinPolicy::start();
    }
    bool is_healthy() const override {
        crash_if("is_healthy");
        return RoundRobinPolicy::is_healthy();
    }
    Result<void> save_state(StateWriter& state) override {
        crash_if("save_state");
        return RoundRobinPolicy::save_state(state);
    }

    void enqueue(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason reason) override {
        crash_if("enqueue");
        RoundRobinPolicy::enqueue(cpu, thread, reason);
    }
    void dequeue(SchedulerCpu& cpu, SchedulerThread& thread, DequeueReason reason) override {
        crash_if("dequeue");
        if (reason == DequeueReason::Picked) crash_if("dequeue_mirrored");
        RoundRobinPolicy::dequeue(cpu, thread, reason);
    }
    SchedulerThread* pick_next(SchedulerCpu& cpu) override {
        crash_if("pick_next");
        return RoundRobinPolicy::pick_next(cpu);
    }
    /// By enqueue and pick_next, which may be armed too.
    SchedulerThread* yield(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason reason) override {
        crash_if("yield");
        return Scheduler::yield(cpu, thread, reason);
    }
    TickDecision tick(SchedulerCpu& cpu, uint64_t now_ns) override {
        crash_if("tick");
        return RoundRobinPolicy::tick(cpu, now_ns);
    }
    bool should_preempt(const SchedulerCpu& cpu, const SchedulerThread& woken) const override {
        crash_if("should_preempt");
        return RoundRobinPolicy::should_preempt(cpu, woken);
    }
    CpuId select_cpu(const SchedulerThread& thread, CpuId waker) const override {
        crash_if("select_cpu");
        return RoundRobinPolicy::select_cpu(thread, waker);
    }
    SchedulerStatistics statistics(const SchedulerCpu& cpu) const override {
        crash_if("statistics");
        return RoundRobinPolicy::statistics(cpu);
    }
    bool self_check(const SchedulerCpu& cpu, const SchedulerThread& thread) const override {
        crash_if("self_check");
        return RoundRobinPolicy::self_check(cpu, thread);
    }

private:
    void crash_if(Text method) const {
        if (method_.text() != method) return;
        if (way_.text() == "null") asm volatile("movb $1, (%0)" ::"r"(uint64_t{0}) : "memory");
        if (way_.text() == "loop")
            for (;;) asm volatile("");
        if (way_.text() == "stack_overflow") recurse(0);
    }
    static __attribute__((noinline)) uint64_t recurse(uint64_t depth) {
        volatile unsigned char frame[512];
        for (volatile unsigned char& byte : frame) byte = static_cast<unsigned char>(depth);
        const uint64_t below = depth == UINT64_MAX ? 0 : recurse(depth + 1);
        return below + frame[0];
    }

    const Context* context_ = nullptr;
    FixedText<20> method_;
    FixedText<20> way_;
};
HELIX_MODULE(SchedulerCrasher)

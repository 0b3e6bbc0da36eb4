// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A scheduler that fails in the entry point, and in the way, that it is told is taken out, wherever that is.

#include "../../scheduler/round_robin/round_robin.hpp"
#include "../crasher/ways_to_crash.hpp"

using namespace helix;

// Nobody can tell it anything before it has started. Where and how it fails until then stands here, for tests to write
// something else over it in the file.
static volatile const char g_at_first[48] = "at first: none none";

class SchedulerCrasher final : public scheduling::RoundRobinPolicy {
public:
    static constexpr auto kInfo =
        ModuleInfo{"scheduler-crasher"}
            .version(1, 0, 0)
            .flags(ModuleFlags::Scheduler | ModuleFlags::HotReloadable | ModuleFlags::Experimental)
            .dependencies({"helix-execution >=1.0"})
            .provides({"helix.scheduler"});

    SchedulerCrasher() {
        constexpr size_t kBegin = sizeof("at first: ") - 1;
        char told[sizeof(g_at_first)];
        size_t size = 0;
        for (size_t i = kBegin; i < sizeof(told) && g_at_first[i] != 0; ++i) told[size++] = g_at_first[i];
        arm(Text(told, size));
        crash_if("constructor");
    }
    ~SchedulerCrasher() { crash_if("destructor"); }

    /// `arm METHOD WAY`: the next call of that method, named as in the class, fails in a way
    /// that the crasher knows. `dequeue_mirrored`: once another policy rules that this one follows. `restore_state`:
    /// that of the instance which is to replace this one. `wait`: until this module failed. `contend`: the same, while
    /// a thread inherits the priority of another.
    Result<Response> handle_request(const Request& request) override {
        if (request.request_type == "wait") return wait_for_failure();
        if (request.request_type == "contend") return contend();
        if (request.request_type != "arm") return RoundRobinPolicy::handle_request(request);
        if (!arm(as_text(request.payload))) return Response::err("arm METHOD WAY");
        crash_if("handle_request");
        return Response::ok_empty();
    }
    EventResponse handle_event(const Event& event) override {
        crash_if("handle_event");
        return RoundRobinPolicy::handle_event(event);
    }
    Result<void> init(const Context& context) override {
        context_ = &context;
        crash_if("init");
        return RoundRobinPolicy::init(context);
    }
    Result<void> start() override {
        TRY(context_->subscribe("poke"));
        crash_if("start");
        return RoundRobinPolicy::start();
    }
    Result<void> stop() override {
        crash_if("stop");
        return RoundRobinPolicy::stop();
    }
    bool is_healthy() const override {
        crash_if("is_healthy");
        return RoundRobinPolicy::is_healthy();
    }
    Result<void> save_state(StateWriter& state) override {
        crash_if("save_state");
        if (method_.text() == "restore_state") TRY(state.put("way", way_.text()));
        return RoundRobinPolicy::save_state(state);
    }
    Result<void> restore_state(StateReader& state, Reason reason) override {
        if (const auto way = state.get_text("way"); way.ok()) {
            method_.assign("restore_state");
            way_.assign(way.value());
            crash_if("restore_state");
        }
        return RoundRobinPolicy::restore_state(state, reason);
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
        return Scheduler::yield(cpu, thread, reason);  // NOLINT(bugprone-parent-virtual-call)
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
    SchedulerTraits plug_in() override {
        crash_if("plug_in");
        return RoundRobinPolicy::plug_in() | SchedulerTraits::WantsBlock | SchedulerTraits::PlacesThreads;
    }
    void block(SchedulerCpu& cpu, SchedulerThread& thread, BlockReason reason) override {
        crash_if("block");
        RoundRobinPolicy::block(cpu, thread, reason);
    }
    bool may_move(const SchedulerThread& thread, CpuId to) const override {
        crash_if("may_move");
        return RoundRobinPolicy::may_move(thread, to);
    }
    bool set_attributes(SchedulerCpu& cpu, SchedulerThread& thread, const SchedulingAttributes& wanted,
                        bool queued) override {
        crash_if("set_attributes");
        return RoundRobinPolicy::set_attributes(cpu, thread, wanted, queued);
    }
    void priority_changed(SchedulerCpu& cpu, SchedulerThread& thread, uint32_t old, bool queued) override {
        crash_if("priority_changed");
        RoundRobinPolicy::priority_changed(cpu, thread, old, queued);
    }
    void cpu_changed(SchedulerCpu& cpu, bool online) override {
        crash_if("cpu_changed");
        RoundRobinPolicy::cpu_changed(cpu, online);
    }
    size_t dump(const SchedulerCpu& cpu, Span<char> out) const override {
        crash_if("dump");
        return RoundRobinPolicy::dump(cpu, out);
    }

private:
    /// False: that is no METHOD WAY.
    bool arm(Text payload) {
        const size_t space = payload.find(' ');
        if (space == SIZE_MAX) return false;
        way_.assign(payload.substr(space + 1));
        method_.assign(payload.substr(0, space));
        return true;
    }
    /// Its error is that of the failure, which comes when the method that is armed is called.
    Result<Response> wait_for_failure() {
        const SemaphoreId never = TRY(context_->semaphore_create(0));
        TRY(context_->semaphore_wait(never, 60'000'000'000));
        return Response::err("it was signalled");
    }
    /// The less urgent of two threads is mostly in a request to the workload, and the other one waits to make its own;
    /// both end with the module.
    Result<Response> contend() {
        TRY(context_->thread_create("holder", [](void* self) { ask_for_ever(self, "check"); }, this, 15));
        TRY(context_->thread_create("waiter", [](void* self) { ask_for_ever(self, "status"); }, this, 20));
        return wait_for_failure();
    }
    static void ask_for_ever(void* self, Text type) {
        const Context& context = *static_cast<SchedulerCrasher*>(self)->context_;
        for (;;) (void)context.request("helix-workload", {type}).ok();
    }

    void crash_if(Text method) const {
        if (method_.text() != method) return;
        test::crash_in_way(way_.text(), context_);
    }

    const Context* context_ = nullptr;
    FixedText<20> method_;
    FixedText<20> way_;
};
HELIX_MODULE(SchedulerCrasher)

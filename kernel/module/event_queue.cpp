// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// EventQueue: one thread hands each event to every subscriber, in the order in which the modules were started.

#include "kernel/module/event_queue.hpp"

#include "kernel/kernel.hpp"

namespace helix::kernel {

Result<void> EventQueue::init(Kernel& kernel) {
    TRY(kernel.threads.create("events", thread_main, &kernel, {.priority = 24}));
    return {};
}

Result<void> EventQueue::push(Kernel&, const Event& event) {
    Queued queued;
    queued.event = event;
    if (event.kind == EventKind::Custom) {
        if (event.custom.name.size() > queued.name.capacity())
            return Error(ErrorCode::InvalidArgument, "an event's name has at most 46 characters");
        queued.name.assign(event.custom.name);
        queued.data = TRY(Buffer::copy_of(event.custom.data));
    }
    bool full = false;
    state_.wake_all([&](State& state) {
        if (event.kind == EventKind::Tick && state.count > 0) {
            Queued& last = state.ring[(state.first + state.count - 1) % kCapacity];
            if (last.event.kind == EventKind::Tick) {
                last.event = event;
                return;
            }
        }
        full = state.count == kCapacity;
        if (full) return;
        queued.number = ++state.sent;
        state.ring[(state.first + state.count++) % kCapacity] = std::move(queued);
    });
    if (full) return Error(ErrorCode::Busy, "the event queue is full");
    return {};
}

Result<void> EventQueue::drain(uint64_t timeout_ns) {
    const WakeReason reason = state_.wait_until([](State& state) { return state.count == 0 && !state.delivering; },
                                                deadline_after(timeout_ns));
    if (reason == WakeReason::TimedOut) return ErrorCode::TimedOut;
    if (reason == WakeReason::Cancelled) return ErrorCode::Cancelled;
    return {};
}

void EventQueue::thread_main(void* argument) {
    auto& kernel = *static_cast<Kernel*>(argument);
    EventQueue& self = kernel.modules.events_;
    for (;;) {
        Queued next;
        self.state_.wait_until([&](State& state) {
            if (state.count == 0) return false;
            next = std::move(state.ring[state.first]);
            state.first = (state.first + 1) % kCapacity;
            --state.count;
            state.delivering = true;
            return true;
        });
        self.deliver(kernel, next);
        self.state_.wake_all([](State& state) { state.delivering = false; });
    }
}

void EventQueue::deliver(Kernel& kernel, Queued& queued) {
    if (queued.event.kind == EventKind::Custom) {
        queued.event.custom.name = queued.name.text();
        queued.event.custom.data = queued.data.bytes();
    }
    // The registry is unlocked around each call. Each place remembers the newest event that it was handed, so that none
    // is handed to it twice, whichever instances come and go meanwhile.
    for (;;) {
        RecordPin next(kernel.modules.unpinned_);  // lives longer than the guard below
        kernel.modules.for_each([&](ModuleRecord& record) {
            if (next || record.heard_event >= queued.number) return;
            if (record.state() == ModuleState::Running && record.current->hears(queued.event)) next.take(record);
        });
        if (!next) return;
        MutexGuard guard(next->call_lock);
        next->heard_event = queued.number;
        __atomic_fetch_add(&next->calls, 1, __ATOMIC_ACQ_REL);
        // Who failed while the event waited is the supervisor's to tell of, not a second failure.
        if (next->state() == ModuleState::Running && !next->current->is_ended()) {
            Instance& instance = *next->current;
            const KernelCall not_restarted(instance, kForever);
            note_call(TraceKind::Event, TraceCall::Begin, instance);
            auto response = instance.call<&Module::handle_event>(queued.event);
            const bool well = response.ok() && response.value().kind() != EventResponse::Kind::Error;
            note_call(TraceKind::Event, well ? TraceCall::End : TraceCall::Error, instance);
            if (!well) next->metrics.count_error();
            if (!response.ok())
                kernel.log.warning("events", "{}", response.error().sentence());
            else if (!well)
                kernel.log.warning("events", "{}: {}", instance.name(), response.value().sentence());
        }
    }
}

}  // namespace helix::kernel

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
    queue_.wake_all([&] {
        if (event.kind == EventKind::Tick && count_ > 0) {
            Queued& last = ring_[(first_ + count_ - 1) % kCapacity];
            if (last.event.kind == EventKind::Tick) {
                last.event = event;
                return;
            }
        }
        full = count_ == kCapacity;
        if (full) return;
        queued.number = ++sent_;
        ring_[(first_ + count_++) % kCapacity] = std::move(queued);
    });
    if (full) return Error(ErrorCode::Busy, "the event queue is full");
    return {};
}

void EventQueue::drain() {
    queue_.wait_until([&] { return count_ == 0 && !delivering_; });
}

void EventQueue::thread_main(void* argument) {
    auto& kernel = *static_cast<Kernel*>(argument);
    EventQueue& self = kernel.modules.events_;
    for (;;) {
        Queued next;
        self.queue_.wait_until([&] {
            if (self.count_ == 0) return false;
            next = std::move(self.ring_[self.first_]);
            self.first_ = (self.first_ + 1) % kCapacity;
            --self.count_;
            self.delivering_ = true;
            return true;
        });
        self.deliver(kernel, next);
        self.queue_.wake_all([&] { self.delivering_ = false; });
    }
}

void EventQueue::deliver(Kernel& kernel, Queued& queued) {
    if (queued.event.kind == EventKind::Custom) {
        queued.event.custom.name = queued.name.text();
        queued.event.custom.data = queued.data.bytes();
    }
    const auto wants = [&](const Instance& instance) {
        if (queued.event.kind != EventKind::Custom)
            return (instance.event_kinds >> static_cast<uint32_t>(queued.event.kind) & 1) != 0;
        for (uint32_t i = 0; i < instance.event_name_count; ++i)
            if (instance.event_names[i] == queued.name.text()) return true;
        return false;
    };
    // The registry is unlocked around each call. Each place remembers the newest event that it was handed, so that none
    // is handed to it twice, whichever instances come and go meanwhile.
    for (;;) {
        RecordPin next(kernel.modules.unpinned_);  // lives longer than the guard below
        kernel.modules.for_each([&](ModuleRecord& record) {
            if (next || record.heard_event >= queued.number) return;
            if (record.state() == ModuleState::Running && wants(*record.current)) next.take(record);
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

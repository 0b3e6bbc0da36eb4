// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// EventQueue: who leads, who stands by, and who stays with a module that is slow.

#include "kernel/module/event_queue.hpp"

#include "kernel/kernel.hpp"

#include <utility>

namespace helix::kernel {
namespace {

/// Of those who run, or are to run again. Registry lock held.
bool has_subscribed(const ModuleRecord& record, const Event& event) {
    return record.is_wanted() && record.current->hears(event);
}

}  // namespace

EventQueue::Queued::Queued(const Event& sent, Buffer copy) : event(sent), data(std::move(copy)) {
    if (event.kind != EventKind::Custom) return;
    name.assign(event.custom.name);
    event.custom = {name.text(), data.bytes()};
}

Result<void> EventQueue::init(Kernel& kernel) {
    {
        MutexGuard guard(lock_);
        has_stand_by_ = true;
    }
    return create_stand_by(kernel);  // nobody leads yet
}

Result<void> EventQueue::create_stand_by(Kernel& kernel) {
    TRY(kernel.threads.create("events", thread_main, &kernel, {.priority = kPriority}));
    return {};
}

// ---- On the way in.

Result<void> EventQueue::push(Kernel& kernel, const Event& event) {
    if (event.kind == EventKind::Custom && event.custom.name.size() > FixedText<46>::capacity())
        return Error(ErrorCode::InvalidArgument, "an event's name has at most 46 characters");
    Buffer data = TRY(Buffer::copy_of(event.kind == EventKind::Custom ? event.custom.data : Bytes()));
    auto* const queued = make<Queued>(kernel.heap, event, std::move(data));
    if (queued == nullptr) return ErrorCode::OutOfMemory;
    MutexGuard registry(kernel.modules.registry_);
    MutexGuard guard(lock_);
    if (event.kind == EventKind::Tick) drop_tick(kernel);
    if (waiting_.size() == kCapacity) drop_oldest(kernel);
    if (waiting_.size() == kCapacity) {
        unmake(kernel.heap, queued);
        return Error(ErrorCode::Busy, "the event queue is full");
    }
    queued->number = ++sent_;
    waiting_.push_back(*queued);
    changed_.signal_all();
    return {};
}

void EventQueue::drop_tick(Kernel& kernel) {
    for (Queued& queued : waiting_) {
        if (queued.event.kind != EventKind::Tick || queued.readers != 0) continue;
        remove(kernel, queued);
        return;
    }
}

void EventQueue::drop_oldest(Kernel& kernel) {
    kernel.modules.registry_.assert_held();
    for (Queued& queued : waiting_) {
        if (queued.number > heard_) return;
        if (queued.readers != 0) continue;
        for (ModuleRecord& record : kernel.modules.records_) {
            if (record.hearing.attendant == nullptr || record.hearing.newest >= queued.number) continue;
            if (!has_subscribed(record, queued.event)) continue;
            const uint64_t missed = record.metrics.count_missed();
            if ((missed & (missed - 1)) == 0)  // a word now and then
                kernel.log.warning("events", "{} is slow; events missed so far: {}", record.name(), missed);
        }
        remove(kernel, queued);
        return;
    }
}

void EventQueue::remove(Kernel& kernel, Queued& queued) {
    waiting_.erase(waiting_.iterator_to(queued));
    unmake(kernel.heap, &queued);
}

void EventQueue::forget_heard(Kernel& kernel) {
    kernel.modules.registry_.assert_held();
    uint64_t by_all = heard_;
    for (const ModuleRecord& record : kernel.modules.records_)
        if (record.hearing.attendant != nullptr && record.hearing.newest < by_all) by_all = record.hearing.newest;
    while (!waiting_.empty()) {
        Queued& oldest = waiting_.front();
        if (oldest.number > by_all || oldest.readers != 0) return;
        remove(kernel, oldest);
        changed_.signal_all();  // for who drains
    }
}

Result<void> EventQueue::drain(Kernel& kernel, uint64_t timeout_ns) {
    ThreadId ending = ThreadId::None;
    {
        MutexGuard guard(lock_);
        const uint64_t newest = sent_;  // those that come meanwhile are not waited for: somebody may always be at one
        const auto are_heard = [&] {
            lock_.assert_held();
            return idle_attendants_ == 0 && (waiting_.empty() || waiting_.front().number > newest);
        };
        TRY(changed_.wait_until(lock_, are_heard, timeout_ns));
        ending = std::exchange(ending_, ThreadId::None);
    }
    return kernel.threads.join(ending, timeout_ns);
}

// ---- On the way out.

void EventQueue::thread_main(void* argument) {
    auto& kernel = *static_cast<Kernel*>(argument);
    EventQueue& self = kernel.modules.events_;
    do {
        self.stand_by(kernel);
        self.lead(kernel);
        self.attend(kernel);
    } while (self.is_to_stand_by(kernel));
}

bool EventQueue::is_to_stand_by(Kernel& kernel) {
    ThreadId before = ThreadId::None;
    {
        MutexGuard guard(lock_);
        --idle_attendants_;
        changed_.signal_all();
        if (!std::exchange(has_stand_by_, true)) return true;
        before = std::exchange(ending_, current_thread().id);
    }
    (void)kernel.threads.join(before).ok();  // who waits for this thread waits for all before it
    return false;
}

void EventQueue::stand_by(Kernel& kernel) {
    MutexGuard guard(lock_);
    while (leader_ != nullptr) {
        is_watched_ = call_began_ns_ != 0;
        uint64_t patience_ns = kForever;
        if (is_watched_) {
            const uint64_t call_ns = arch::now_ns() - call_began_ns_;
            if (call_ns >= kPatienceNs) {
                make_way(kernel, *leader_);
                break;
            }
            patience_ns = kPatienceNs - call_ns;
        }
        (void)changed_.wait(lock_, patience_ns).ok();
    }
    leader_ = &current_thread();
    call_began_ns_ = 0;
    has_stand_by_ = is_watched_ = false;
}

void EventQueue::make_way(Kernel& kernel, const Thread& attendant) {
    (void)kernel.threads.set_priority(attendant.id, kDefaultPriority).ok();
}

void EventQueue::lead(Kernel& kernel) {
    for (;;) {
        {
            MutexGuard guard(lock_);
            while (heard_ == sent_) (void)changed_.wait(lock_).ok();
        }
        Queued* queued = nullptr;
        const RecordPin next = take(kernel, queued);
        if (next && !hand_out(kernel, *next, *queued)) return;
    }
}

void EventQueue::attend(Kernel& kernel) {
    for (;;) {
        Queued* queued = nullptr;
        const RecordPin next = take(kernel, queued);
        if (!next) break;
        (void)hand_out(kernel, *next, *queued);
    }
    (void)kernel.threads.set_priority(current_thread().id, kPriority).ok();
}

RecordPin EventQueue::take(Kernel& kernel, Queued*& in_hand) {
    const Thread* const self = &current_thread();
    RecordPin next(kernel.modules.unpinned_);  // lives longer than the guards below
    MutexGuard registry(kernel.modules.registry_);
    MutexGuard guard(lock_);
    const bool leads = leader_ == self;
    const Thread* const attendant = leads ? nullptr : self;
    for (Queued& queued : waiting_) {
        const bool is_new = queued.number > heard_;
        if (is_new != leads) continue;
        for (ModuleRecord& record : kernel.modules.records_) {
            Hearing& hearing = record.hearing;
            if (hearing.attendant != attendant || hearing.newest >= queued.number) continue;
            if (!has_subscribed(record, queued.event)) continue;
            hearing.newest = queued.number;
            if (record.state() != ModuleState::Running) {  // it failed, and is not back yet
                record.metrics.count_missed();
                continue;
            }
            hearing.attendant = self;
            if (!leads && --idle_attendants_ == 0) changed_.signal_all();
            ++queued.readers;
            in_hand = &queued;
            next.take(record);
            return next;
        }
        if (leads) heard_ = queued.number;
    }
    if (!leads)
        for (ModuleRecord& record : kernel.modules.records_)
            if (record.hearing.attendant == self) record.hearing.attendant = nullptr;
    forget_heard(kernel);
    return next;
}

bool EventQueue::hand_out(Kernel& kernel, ModuleRecord& record, Queued& in_hand) {
    const uint64_t began_ns = arch::now_ns();
    begin_call(kernel, record, began_ns);
    call(kernel, record, in_hand.event);
    MutexGuard guard(lock_);
    --in_hand.readers;
    if (arch::now_ns() - began_ns >= kPatienceNs)
        record.hearing.slow_for = kSlowFor;
    else if (record.hearing.slow_for != 0)
        --record.hearing.slow_for;
    const bool leads = leader_ == &current_thread();
    if (leads) {
        call_began_ns_ = 0;
        record.hearing.attendant = nullptr;
    } else {
        ++idle_attendants_;
    }
    return leads;
}

void EventQueue::begin_call(Kernel& kernel, const ModuleRecord& record, uint64_t now_ns) {
    bool has_stand_by = true;
    {
        MutexGuard guard(lock_);
        if (leader_ != &current_thread()) return;
        call_began_ns_ = now_ns;
        has_stand_by = std::exchange(has_stand_by_, true);
    }
    has_stand_by = has_stand_by || create_stand_by(kernel).ok();
    MutexGuard guard(lock_);
    if (!has_stand_by) has_stand_by_ = false;  // the calling thread goes on alone, and tries again at the next call
    if (!has_stand_by || leader_ != &current_thread()) return;
    // Before the thread makes way, which may be for another that computes: who is woken has to wait for the lock, and
    // so lends it its priority.
    if (record.hearing.slow_for != 0 || !is_watched_) changed_.signal_all();
    if (record.hearing.slow_for == 0) return;
    leader_ = nullptr;
    make_way(kernel, current_thread());
}

void EventQueue::call(Kernel& kernel, ModuleRecord& record, const Event& event) {
    MutexGuard guard(record.call_lock);
    __atomic_fetch_add(&record.calls, 1, __ATOMIC_ACQ_REL);
    {
        MutexGuard registry(kernel.modules.registry_);
        if (!has_subscribed(record, event)) return;  // whoever is there now
    }
    Instance& instance = *record.current;
    // Who failed while the event waited is the supervisor's to tell of, not a second failure.
    if (record.state() != ModuleState::Running || instance.is_ended()) {
        record.metrics.count_missed();
        return;
    }
    const KernelCall not_restarted(instance, kForever);
    note_call(TraceKind::Event, TraceCall::Begin, instance);
    auto response = instance.call<&Module::handle_event>(event);
    const bool well = response.ok() && response.value().kind() != EventResponse::Kind::Error;
    note_call(TraceKind::Event, well ? TraceCall::End : TraceCall::Error, instance);
    if (!well) record.metrics.count_error();
    if (response.ok() && !well) kernel.log.warning("events", "{}: {}", instance.name(), response.value().sentence());
}

}  // namespace helix::kernel

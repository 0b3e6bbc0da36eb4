// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// PolicySlot: telling the ruling and the mirrored policy what happens, and believing neither blindly.

#include "kernel/thread/policy_calls.hpp"

#include "kernel/kernel.hpp"

namespace helix::kernel {

void PolicySlot::break_rule(uint32_t place, Text rule) {
    FailureNote note;
    note.failure = GateFailure::Abort;
    note.rule = rule;
    module_failed(*places_[place].instance, note);
}

void PolicySlot::enqueue(Cpu& cpu, Thread& thread, EnqueueReason reason) {
    cpu.policy_ready.push_back(thread);
    cpu.ready_count = cpu.ready_count + 1;
    if (__builtin_expect(mirror_ != kNone, 0)) enqueue_in_mirror(cpu, thread, reason);
    enqueue_in(ruling_, cpu, thread, reason);
}

void PolicySlot::enqueue_in_mirror(Cpu& cpu, Thread& thread, EnqueueReason reason) {
    enqueue_in(mirror_, cpu, thread, reason);
}

void PolicySlot::tell_time(uint32_t place, Cpu& cpu) {
    threads_.take_time_of_current(cpu);
    cpu.view[place].now_ns = arch::now_ns();
}

inline __attribute__((always_inline)) void PolicySlot::enqueue_in(uint32_t place, Cpu& cpu, Thread& thread,
                                                                  EnqueueReason reason) {
    if (!serves(place)) return;
    thread.queued_in |= bit_of(place);
    thread.view[place].cpu = cpu.local.cpu;
    note_time(place, cpu);
    ask<&Scheduler::enqueue>(place, nullptr, cpu.view[place], thread.view[place], reason);
}

Thread* PolicySlot::pick(Cpu& cpu) {
    if (cpu.policy_ready.empty()) return nullptr;
    Thread* picked = nullptr;
    if (serves(ruling_)) {
        SchedulerThread* answer = nullptr;
        if (ask<&Scheduler::pick_next>(ruling_, &answer, cpu.view[ruling_])) picked = validated(cpu, answer);
    }
    if (__builtin_expect(picked == nullptr, 0)) {
        picked = &cpu.policy_ready.front();
        ++cpu.fifo_picks;
    }
    cpu.policy_ready.erase(cpu.policy_ready.iterator_to(*picked));
    cpu.ready_count = cpu.ready_count - 1;
    if (__builtin_expect(mirror_ != kNone, 0)) dequeue_in_mirror(cpu, *picked);
    picked->queued_in = 0;
    return picked;
}

void PolicySlot::dequeue_in_mirror(Cpu& cpu, Thread& picked) {
    if (!serves(mirror_) || (picked.queued_in & bit_of(mirror_)) == 0) return;
    ask<&Scheduler::dequeue>(mirror_, nullptr, cpu.view[mirror_], picked.view[mirror_], DequeueReason::Picked);
}

void PolicySlot::migrate(Cpu& from, Cpu& to, Thread& thread) {
    from.policy_ready.erase(from.policy_ready.iterator_to(thread));
    from.ready_count = from.ready_count - 1;
    for (uint32_t place : {ruling_, mirror_}) {
        if (!serves(place) || (thread.queued_in & bit_of(place)) == 0) continue;
        note_time(place, from);
        ask<&Scheduler::dequeue>(place, nullptr, from.view[place], thread.view[place], DequeueReason::Migrated);
    }
    thread.queued_in = 0;
    __atomic_store_n(&thread.cpu, to.local.cpu, __ATOMIC_RELEASE);
    enqueue(to, thread, EnqueueReason::Migrated);
}

CpuId PolicySlot::select_cpu(const Thread& thread, CpuId waker) {
    CpuId answer = thread.cpu;
    if (serves(ruling_)) (void)ask<&Scheduler::select_cpu>(ruling_, &answer, thread.view[ruling_], waker);
    return answer;
}

bool PolicySlot::tick(Cpu& cpu, uint64_t now_ns) {
    if (serves(mirror_)) {
        TickDecision ignored{};
        cpu.view[mirror_].now_ns = now_ns;
        ask<&Scheduler::tick>(mirror_, &ignored, cpu.view[mirror_], now_ns);
    }
    if (!serves(ruling_)) return !cpu.policy_ready.empty();
    TickDecision decision{};
    cpu.view[ruling_].now_ns = now_ns;
    if (!ask<&Scheduler::tick>(ruling_, &decision, cpu.view[ruling_], now_ns)) return true;
    return decision == TickDecision::Preempt;
}

bool PolicySlot::should_preempt(Cpu& cpu, Thread& woken) {
    if (!serves(ruling_) || cpu.view[ruling_].current == nullptr) return false;
    bool answer = false;
    return ask<&Scheduler::should_preempt>(ruling_, &answer, cpu.view[ruling_], woken.view[ruling_]) && answer;
}

void PolicySlot::set_priority(Cpu& cpu, Thread& thread, uint32_t priority) {
    const uint32_t old = thread.priority;
    thread.priority = priority;
    for (uint32_t place = 0; place < Thread::kPolicies; ++place) {
        thread.view[place].priority = priority;
        if (thread.kind != ThreadClass::Policy || (place != ruling_ && place != mirror_) || !serves(place)) continue;
        const bool queued = (thread.queued_in & bit_of(place)) != 0;
        ask<&Scheduler::priority_changed>(place, nullptr, cpu.view[place], thread.view[place], old, queued);
    }
}

void PolicySlot::tell_block(Cpu& cpu, Thread& thread) {
    const BlockReason reason = thread.state == ThreadState::Ended ? BlockReason::Ended : BlockReason::Blocked;
    for (uint32_t place : {ruling_, mirror_})
        if (serves(place) && (places_[place].traits & kWantsBlock) != 0)
            ask<&Scheduler::block>(place, nullptr, cpu.view[place], thread.view[place], reason);
}

bool PolicySlot::ask_may_move(const Thread& thread, CpuId to) {
    bool answer = true;
    return !ask<&Scheduler::may_move>(ruling_, &answer, thread.view[ruling_], to) || answer;
}

bool PolicySlot::set_attributes(Cpu& cpu, Thread& thread, const SchedulingAttributes& wanted) {
    if (!serves(ruling_) && wanted.reserves()) return false;
    for (uint32_t place : {ruling_, mirror_}) {
        if (!serves(place)) continue;
        bool granted = true;
        note_time(place, cpu);
        const bool queued = (thread.queued_in & bit_of(place)) != 0;
        (void)ask<&Scheduler::set_attributes>(place, &granted, cpu.view[place], thread.view[place], wanted, queued);
        if (place == ruling_ && !granted) return false;
    }
    for (SchedulerThread& view : thread.view) view.attributes = wanted;
    return true;
}

void PolicySlot::cpu_changed(Cpu& cpu, bool online) {
    for (uint32_t place : {ruling_, mirror_})
        if (serves(place)) ask<&Scheduler::cpu_changed>(place, nullptr, cpu.view[place], online);
}

Result<size_t> PolicySlot::dump(Cpu& cpu, Span<char> out) {
    if (!serves(ruling_)) return ErrorCode::ModuleAbsent;
    size_t size = 0;
    if (!ask<&Scheduler::dump>(ruling_, &size, cpu.view[ruling_], out)) return ErrorCode::ModuleFailed;
    return size < out.size() ? size : out.size();
}

Result<void> PolicySlot::mirror(Scheduler* policy, Owner* instance) {
    if (mirror_ != kNone) return Error(ErrorCode::Busy, "another scheduler is being swapped in");
    const uint32_t place = ruling_ == 0 ? 1 : 0;

    // Nobody looks at this place yet: make the policy's areas as new, a few threads at a time.
    threads_.for_each_locked([&](Thread& thread) {
        thread.queued_in &= static_cast<uint8_t>(~bit_of(place));
        thread.view[place] = SchedulerThread{thread.id,
                                             thread.priority,
                                             ~uint64_t{0},
                                             thread.runtime_ns,
                                             thread.cpu,
                                             0,
                                             thread.view[place ^ 1].attributes,
                                             {}};
    });
    places_[place] = Place{policy, instance};
    preempt_disable();
    (void)ask<&Scheduler::plug_in>(place, &places_[place].traits);
    preempt_enable();
    threads_.lock_all_cpus();
    for (CpuId id = 0; id < threads_.cpu_count(); ++id) {
        Cpu& cpu = threads_.cpu(id);
        SchedulerCpu& view = cpu.view[place];
        SchedulerThread* const current = view.current;
        __builtin_memset(&view, 0, sizeof(view));
        view.id = id;
        view.current = current;
    }
    mirror_ = place;
    threads_.unlock_all_cpus();

    for (CpuId id = 0; id < threads_.cpu_count(); ++id) {
        const PreemptionGuard no_preemption;
        Cpu& cpu = threads_.cpu(id);
        cpu.lock.acquire();
        if (threads_.cpus().is_online(id) && !cpu.leaving && serves(place))
            ask<&Scheduler::cpu_changed>(place, nullptr, cpu.view[place], true);
        cpu.lock.release();
    }

    // From here on every event reaches the mirror too; what was runnable before is told it now.
    threads_.for_each_locked([&](Thread& thread) {
        if (thread.kind != ThreadClass::Policy || thread.state != ThreadState::Runnable) return;
        if ((thread.queued_in & bit_of(place)) != 0 || !serves(place)) return;
        enqueue_in(place, threads_.cpu(thread.cpu), thread, EnqueueReason::Snapshot);
    });
    if (!serves(place)) {
        drop_mirror();
        return Error(ErrorCode::ModuleFailed, "it failed while it was shown the runnable threads");
    }
    return {};
}

void PolicySlot::flip() {
    const uint32_t old = ruling_;
    ruling_ = mirror_;
    mirror_ = old;
    stands_by_ = true;
}

void PolicySlot::audit_ruling() {
    for (CpuId id = 0; id < threads_.cpu_count(); ++id) {
        preempt_disable();
        Cpu& cpu = threads_.cpu(id);
        cpu.lock.acquire();
        auto statistics = ruling_statistics(cpu);
        if (statistics.ok() && statistics.value().runnable != cpu.ready_count)
            break_rule(ruling_, "it does not hold the threads that are runnable");
        cpu.lock.release();
        preempt_enable();
    }
}

void PolicySlot::return_to_mirror() {
    threads_.lock_all_cpus();
    if (ruling_failed() && stands_by_ && serves(mirror_)) {
        flip();
        places_[mirror_] = Place{};
        mirror_ = kNone;
    }
    threads_.unlock_all_cpus();
}

void PolicySlot::drop_mirror() {
    threads_.lock_all_cpus();
    if (mirror_ != kNone) places_[mirror_] = Place{};
    mirror_ = kNone;
    stands_by_ = false;
    threads_.unlock_all_cpus();
}

void PolicySlot::drop_ruling() {
    threads_.lock_all_cpus();
    if (ruling_ != kNone) places_[ruling_] = Place{};
    ruling_ = kNone;
    threads_.unlock_all_cpus();
}

Result<SchedulerStatistics> PolicySlot::statistics_of(uint32_t place, Cpu& cpu) {
    if (!serves(place)) return ErrorCode::ModuleAbsent;
    GateResult<SchedulerStatistics> out;
    if (!ask<&Scheduler::statistics>(place, &out.value, cpu.view[place])) return ErrorCode::ModuleFailed;
    return out.value;
}

Result<void> PolicySlot::self_check_mirror(Text name) {
    if (!serves(mirror_)) return ErrorCode::ModuleAbsent;
    struct Lost {
        bool any = false;
        ThreadId thread = ThreadId::None;
        CpuId cpu = 0;
    } lost;
    threads_.for_each_locked([&](Thread& thread) {
        if ((thread.queued_in & bit_of(mirror_)) == 0 || !serves(mirror_)) return;
        bool held = false;
        Cpu& cpu = threads_.cpu(thread.cpu);
        if (!ask<&Scheduler::self_check>(mirror_, &held, cpu.view[mirror_], thread.view[mirror_]) || held) return;
        if (!lost.any) lost = {true, thread.id, thread.cpu};
    });
    if (!serves(mirror_)) return ErrorCode::ModuleFailed;
    if (lost.any)
        return Error(ErrorCode::InvalidState, format("{}: its self_check does not find thread {} on CPU {}", name,
                                                     static_cast<uint64_t>(lost.thread), lost.cpu)
                                                  .text());
    return {};
}

}  // namespace helix::kernel

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
    module_failed(*at(place).instance, note);
}

void PolicySlot::enqueue(Cpu& cpu, Thread& thread, EnqueueReason reason) {
    cpu.policy_ready.push_back(thread);
    cpu.ready_count = cpu.ready_count + 1;
    if (__builtin_expect(has_mirror(), 0)) enqueue_in_mirror(cpu, thread, reason);
    enqueue_in(ruling(), cpu, thread, reason);
}

void PolicySlot::enqueue_in_mirror(Cpu& cpu, Thread& thread, EnqueueReason reason) {
    enqueue_in(mirrored(), cpu, thread, reason);
}

inline __attribute__((always_inline)) void PolicySlot::enqueue_in(uint32_t place, Cpu& cpu, Thread& thread,
                                                                  EnqueueReason reason) {
    if (!serves(place)) return;
    thread.queued_in |= bit_of(place);
    thread.view[place].cpu = cpu.local.cpu;
    ask<&Scheduler::enqueue>(place, nullptr, cpu.view[place], thread.view[place], reason);
}

Thread* PolicySlot::pick(Cpu& cpu) {
    if (cpu.policy_ready.empty()) return nullptr;
    Thread* picked = nullptr;
    if (serves(ruling())) {
        SchedulerThread* answer = nullptr;
        if (ask<&Scheduler::pick_next>(ruling(), &answer, cpu.view[ruling()])) picked = validated(cpu, answer);
    }
    if (__builtin_expect(picked == nullptr, 0)) {
        picked = &cpu.policy_ready.front();
        ++cpu.fifo_picks;
    }
    cpu.policy_ready.erase(cpu.policy_ready.iterator_to(*picked));
    cpu.ready_count = cpu.ready_count - 1;
    if (__builtin_expect(has_mirror(), 0)) dequeue_in_mirror(cpu, *picked);
    picked->queued_in = 0;
    return picked;
}

void PolicySlot::dequeue_in_mirror(Cpu& cpu, Thread& picked) {
    if (!serves(mirrored()) || (picked.queued_in & bit_of(mirrored())) == 0) return;
    ask<&Scheduler::dequeue>(mirrored(), nullptr, cpu.view[mirrored()], picked.view[mirrored()], DequeueReason::Picked);
}

void PolicySlot::migrate(Cpu& from, Cpu& to, Thread& thread) {
    from.policy_ready.erase(from.policy_ready.iterator_to(thread));
    from.ready_count = from.ready_count - 1;
    for (uint32_t place : {ruling(), mirrored()}) {
        if (!serves(place) || (thread.queued_in & bit_of(place)) == 0) continue;
        ask<&Scheduler::dequeue>(place, nullptr, from.view[place], thread.view[place], DequeueReason::Migrated);
    }
    thread.queued_in = 0;
    __atomic_store_n(&thread.cpu, to.local.cpu, __ATOMIC_RELEASE);
    enqueue(to, thread, EnqueueReason::Migrated);
}

CpuId PolicySlot::select_cpu(const Thread& thread, CpuId waker) {
    CpuId answer = thread.cpu;
    if (serves(ruling())) (void)ask<&Scheduler::select_cpu>(ruling(), &answer, thread.view[ruling()], waker);
    return answer;
}

bool PolicySlot::tick(Cpu& cpu, uint64_t now_ns) {
    if (serves(mirrored())) {
        TickDecision ignored{};
        ask<&Scheduler::tick>(mirrored(), &ignored, cpu.view[mirrored()], now_ns);
    }
    if (!serves(ruling())) return !cpu.policy_ready.empty();
    TickDecision decision{};
    if (!ask<&Scheduler::tick>(ruling(), &decision, cpu.view[ruling()], now_ns)) return true;
    return decision == TickDecision::Preempt;
}

bool PolicySlot::should_preempt(Cpu& cpu, Thread& woken) {
    if (!serves(ruling()) || cpu.view[ruling()].current == nullptr) return false;
    bool answer = false;
    return ask<&Scheduler::should_preempt>(ruling(), &answer, cpu.view[ruling()], woken.view[ruling()]) && answer;
}

void PolicySlot::set_priority(Cpu& cpu, Thread& thread, uint32_t priority) {
    const uint32_t old = thread.priority;
    thread.priority = priority;
    for (uint32_t place = 0; place < Thread::kPolicies; ++place) {
        thread.view[place].priority = priority;
        if (thread.kind != ThreadClass::Policy || (place != ruling() && place != mirrored()) || !serves(place))
            continue;
        const bool queued = (thread.queued_in & bit_of(place)) != 0;
        ask<&Scheduler::priority_changed>(place, nullptr, cpu.view[place], thread.view[place], old, queued);
    }
}

Result<void> PolicySlot::mirror(Scheduler* policy, Owner* instance) {
    if (has_mirror()) return Error(ErrorCode::Busy, "another scheduler is being swapped in");
    const uint32_t place = ruling() == 0 ? 1 : 0;

    // Nobody looks at this place yet: make the policy's areas as new, a few threads at a time.
    threads_.for_each_locked([&](Thread& thread) {
        thread.queued_in &= static_cast<uint8_t>(~bit_of(place));
        thread.view[place] =
            SchedulerThread{thread.id, thread.priority, ~uint64_t{0}, thread.runtime_ns, thread.cpu, 0, {}};
    });
    threads_.lock_all_cpus();
    places_[place] = Place{policy, instance};
    for (CpuId id = 0; id < threads_.cpu_count(); ++id) {
        Cpu& cpu = threads_.cpu(id);
        cpu.lock.assert_held();
        SchedulerCpu& view = cpu.view[place];
        SchedulerThread* const current = view.current;
        __builtin_memset(&view, 0, sizeof(view));
        view.id = id;
        view.current = current;
    }
    mirror_ = place;
    threads_.unlock_all_cpus();

    // From here on every event reaches the mirror too; what was runnable before is told it now.
    threads_.for_each_locked([&](Thread& thread) {
        if (thread.kind != ThreadClass::Policy || thread.state != ThreadState::Runnable) return;
        if ((thread.queued_in & bit_of(place)) != 0 || !serves(place)) return;
        Cpu& cpu = threads_.cpu(thread.cpu);
        cpu.lock.assert_held();
        enqueue_in(place, cpu, thread, EnqueueReason::Snapshot);
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

void PolicySlot::stand_by() {
    threads_.lock_all_cpus();
    stands_by_ = has_mirror();
    threads_.unlock_all_cpus();
}

void PolicySlot::audit_ruling() {
    for (CpuId id = 0; id < threads_.cpu_count(); ++id) {
        preempt_disable();
        Cpu& cpu = threads_.cpu(id);
        cpu.lock.acquire();
        auto statistics = ruling_statistics(cpu);
        if (statistics.ok() && statistics.value().runnable != cpu.ready_count)
            break_rule(ruling(), "it does not hold the threads that are runnable");
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
    if (!serves(mirrored())) return ErrorCode::ModuleAbsent;
    struct Lost {
        bool any = false;
        ThreadId thread = ThreadId::None;
        CpuId cpu = 0;
    } lost;
    threads_.for_each_locked([&](Thread& thread) {
        if ((thread.queued_in & bit_of(mirrored())) == 0 || !serves(mirrored())) return;
        bool held = false;
        Cpu& cpu = threads_.cpu(thread.cpu);
        cpu.lock.assert_held();
        if (!ask<&Scheduler::self_check>(mirrored(), &held, cpu.view[mirrored()], thread.view[mirrored()]) || held)
            return;
        if (!lost.any) lost = {true, thread.id, thread.cpu};
    });
    if (!serves(mirrored())) return ErrorCode::ModuleFailed;
    if (lost.any)
        return Error(ErrorCode::InvalidState, format("{}: its self_check does not find thread {} on CPU {}", name,
                                                     static_cast<uint64_t>(lost.thread), lost.cpu)
                                                  .text());
    return {};
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// PolicySlot, where small is better than fast: policies that come and go, CPUs too, telling a mirrored one, moving
// threads, what these ask of a policy, and looking at it.

#include "kernel/kernel.hpp"
#include "kernel/thread/policy_calls.hpp"

namespace helix::kernel {

namespace {
constexpr void* kNothing = nullptr;  // a method that answers nothing
}

bool PolicySlot::ask_words(uint32_t place, uint64_t vtable_offset, const uint64_t (&words)[kWords], uint64_t& answer) {
    const Place& asked = at(place);
    const uint32_t count = preempt_count();
    const GateFailure failure = detail::cross<GateKind::Module, detail::Callee::Method, uint64_t>(
        token_of(asked.instance), asked.policy, vtable_offset, asked.policy, &answer, words[0], words[1], words[2],
        words[3]);
    if (preempt_count() != count) return fail_for_preemption(token_of(asked.instance), count) == GateFailure::None;
    return failure == GateFailure::None;
}

void PolicySlot::enqueue_in_mirror(uint32_t place, Cpu& cpu, Thread& thread, EnqueueReason reason) {
    if (!serves(place)) return;
    thread.queued_in |= bit_of(place);
    thread.view[place].cpu = cpu.local.cpu;
    note_time(place, cpu);
    ask_seldom<&Scheduler::enqueue>(place, kNothing, cpu.view[place], thread.view[place], reason);
}

void PolicySlot::dequeue_in_mirror(uint32_t place, Cpu& cpu, Thread& picked) {
    if (!serves(place) || (picked.queued_in & bit_of(place)) == 0) return;
    if (trial() != nullptr) {
        compare_pick(cpu, picked);
        if (!serves(place)) return;
    }
    ask_seldom<&Scheduler::dequeue>(place, kNothing, cpu.view[place], picked.view[place], DequeueReason::Picked);
}

void PolicySlot::migrate(Cpu& from, Cpu& to, Thread& thread) {
    leave_watch(from);
    leave_watch(to);
    const bool was_moved = has_waited_elsewhere(thread);
    if (!was_moved) thread.vigil = {static_cast<uint32_t>(thread.switches), 0, at(from.ruling).tenant};
    from.policy_ready.erase(from.policy_ready.iterator_to(thread));
    from.ready_count = from.ready_count - 1;
    for (uint32_t place = 0; place < Thread::kPolicies; ++place) {
        if (!is_told(place, from.ruling) || (thread.queued_in & bit_of(place)) == 0) continue;
        note_time(place, from);
        ask_seldom<&Scheduler::dequeue>(place, kNothing, from.view[place], thread.view[place], DequeueReason::Migrated);
    }
    thread.queued_in = 0;
    __atomic_store_n(&thread.cpu, to.local.cpu, __ATOMIC_RELEASE);
    enqueue(to, thread, EnqueueReason::Migrated);
    if (!was_moved) return;
    to.policy_ready.erase(to.policy_ready.iterator_to(thread));
    to.policy_ready.push_front(thread);
}

void PolicySlot::set_priority(Cpu& cpu, Thread& thread, uint32_t priority) {
    const uint32_t old = thread.priority;
    thread.priority = priority;
    for (uint32_t place = 0; place < Thread::kPolicies; ++place) {
        thread.view[place].priority = priority;
        if (thread.kind != ThreadClass::Policy || !is_told(place, cpu.ruling)) continue;
        const bool queued = (thread.queued_in & bit_of(place)) != 0;
        ask_seldom<&Scheduler::priority_changed>(place, kNothing, cpu.view[place], thread.view[place], old, queued);
    }
}

void PolicySlot::tell_block(Cpu& cpu, Thread& thread) {
    const BlockReason reason = thread.state == ThreadState::Ended ? BlockReason::Ended : BlockReason::Blocked;
    for (uint32_t place = 0; place < Thread::kPolicies; ++place)
        if (is_told(place, cpu.ruling) && (at(place).traits & kWantsBlock) != 0)
            ask_seldom<&Scheduler::block>(place, kNothing, cpu.view[place], thread.view[place], reason);
}

bool PolicySlot::may_move(const Thread& thread, CpuId to) {
    bool answer = thread.is_allowed_on(to);
    const uint32_t place = ruling_of(thread);
    if (answer && serves(place) && (at(place).traits & kPlacesThreads) != 0)
        (void)ask_seldom<&Scheduler::may_move>(place, &answer, thread.view[place], to);
    return answer;
}

Thread* PolicySlot::find_more_urgent(Cpu& from, Cpu& to) {
    const uint32_t place = from.ruling;
    if (to.ruling != place || !serves(place) || !orders_all_cpus(from)) return nullptr;
    if (from.policy_ready.empty()) return nullptr;
    SchedulerThread* answer = nullptr;
    if (!ask_seldom<&Scheduler::would_pick>(place, &answer, from.view[place])) return nullptr;
    Thread* const next = validated(place, from, answer, detail::vtable_offset(&Scheduler::would_pick));
    return next != nullptr && may_move(*next, to.local.cpu) && should_preempt(to, *next) ? next : nullptr;
}

bool PolicySlot::set_attributes(Cpu& cpu, Thread& thread, const SchedulingAttributes& wanted) {
    const uint32_t rules = cpu.ruling;
    if (!serves(rules) && wanted.reserves()) return false;
    for (uint32_t place : {rules, other(rules)}) {
        if (!is_told(place, rules)) continue;
        bool granted = !wanted.reserves();  // a policy that fails promises nothing
        note_time(place, cpu);
        const bool queued = (thread.queued_in & bit_of(place)) != 0;
        (void)ask_seldom<&Scheduler::set_attributes>(place, &granted, cpu.view[place], thread.view[place], wanted,
                                                     queued);
        if (place == rules && !granted) return false;
    }
    for (SchedulerThread& view : thread.view) view.attributes = wanted;
    return true;
}

void PolicySlot::cpu_changed(Cpu& cpu, bool online) {
    for (uint32_t place : {ruling(), mirrored()})
        if (is_told(place, ruling())) ask_seldom<&Scheduler::cpu_changed>(place, kNothing, cpu.view[place], online);
    if (has_canary(cpu)) let_rule(ruling(), cpu);
}

size_t PolicySlot::dump(Cpu& cpu, Span<char> out) {
    size_t size = 0;
    const uint32_t place = cpu.ruling;
    if (serves(place)) (void)ask_seldom<&Scheduler::dump>(place, &size, cpu.view[place], out);
    return size < out.size() ? size : out.size();
}

size_t Threads::dump_policy(CpuId id, Span<char> out) {
    const PreemptionGuard no_preemption;
    Cpu& from = cpu(id);
    from.lock.acquire();
    const size_t size = policy_.dump(from, out);
    from.lock.release();
    return size;
}

Result<void> PolicySlot::mirror(Scheduler* policy, Owner* instance) {
    if (has_mirror()) return Error(ErrorCode::Busy, "another scheduler is being swapped in");
    const uint32_t place = mirrored();

    // Nobody looks at this place yet: make the policy's areas as new, a few threads at a time.
    threads_.for_each_locked([&](Thread& thread) {
        thread.queued_in &= static_cast<uint8_t>(~bit_of(place));
        thread.view[place] = SchedulerThread{thread.id,
                                             thread.priority,
                                             thread.view[other(place)].affinity,
                                             thread.runtime_ns,
                                             thread.cpu,
                                             0,
                                             thread.view[other(place)].attributes,
                                             {}};
    });
    threads_.lock_all_cpus();
    places_[place] = Place{policy, instance, 0, ++last_tenant_};
    threads_.unlock_all_cpus();
    uint32_t traits = 0;
    {
        const PreemptionGuard no_preemption;
        (void)ask_seldom<&Scheduler::plug_in>(place, &traits);
    }
    threads_.lock_all_cpus();
    places_[place].traits = traits;
    for (CpuId id = 0; id < threads_.cpu_count(); ++id) {
        Cpu& cpu = threads_.cpu(id);
        cpu.lock.assert_held();
        SchedulerCpu& view = cpu.view[place];
        SchedulerThread* const current = view.current;
        __builtin_memset(&view, 0, sizeof(view));
        view.id = id;
        view.current = current;
    }
    has_mirror_ = true;
    threads_.unlock_all_cpus();

    for (CpuId id = 0; id < threads_.cpu_count(); ++id) {
        const PreemptionGuard no_preemption;
        Cpu& cpu = threads_.cpu(id);
        cpu.lock.acquire();
        if (threads_.cpus().is_online(id) && !cpu.leaving && serves(place))
            ask_seldom<&Scheduler::cpu_changed>(place, kNothing, cpu.view[place], true);
        cpu.lock.release();
    }

    // From here on every event reaches the mirror too; what was runnable before is told it now.
    threads_.for_each_locked([&](Thread& thread) {
        if (thread.kind != ThreadClass::Policy || thread.state != ThreadState::Runnable) return;
        if ((thread.queued_in & bit_of(place)) != 0 || !serves(place)) return;
        Cpu& cpu = threads_.cpu(thread.cpu);
        cpu.lock.assert_held();
        enqueue_in_mirror(place, cpu, thread, EnqueueReason::Snapshot);
    });
    if (!serves(place)) {
        drop_mirror();
        return Error(ErrorCode::ModuleFailed, "it failed while it was shown the runnable threads");
    }
    return {};
}

void PolicySlot::flip() {
    has_mirror_ = has_ruling();
    ruling_ = other(ruling_);
    stands_by_ = true;
    (void)rule_everywhere();
}

/// The ruling policy rules all CPUs; false if it did already.
bool PolicySlot::rule_everywhere() {
    bool changed = false;
    for (CpuId id = 0; id < threads_.cpu_count(); ++id) {
        Cpu& cpu = threads_.cpu(id);
        cpu.lock.assert_held();
        if (!has_canary(cpu)) continue;
        let_rule(ruling_, cpu);
        changed = true;
    }
    return changed;
}

void PolicySlot::begin_canary(Cpu& cpu) {
    let_rule(other(ruling()), cpu);
}

void PolicySlot::stand_by() {
    threads_.lock_all_cpus();
    stands_by_ = has_mirror_;
    threads_.unlock_all_cpus();
}

bool PolicySlot::replace_failed() {
    threads_.lock_all_cpus();
    bool replaced = false;
    if (ruling_failed() && stands_by_ && has_mirror_ && !mirror_failed()) {
        flip();
        forget_mirror();
        replaced = true;
    } else if (mirror_failed()) {
        replaced = rule_everywhere();
    }
    if (replaced) returned_cycles_ = arch::cycles();
    threads_.unlock_all_cpus();
    return replaced;
}

void PolicySlot::forget_mirror() {
    places_[other(ruling_)] = Place{};
    has_mirror_ = false;
    stands_by_ = false;
    trial_ = nullptr;
}

void PolicySlot::drop_mirror() {
    threads_.lock_all_cpus();
    (void)rule_everywhere();
    if (has_mirror_) forget_mirror();
    threads_.unlock_all_cpus();
}

void PolicySlot::drop_ruling() {
    threads_.lock_all_cpus();
    places_[ruling_] = Place{};
    threads_.unlock_all_cpus();
}

Result<SchedulerStatistics> PolicySlot::statistics_of(uint32_t place, Cpu& cpu) {
    if (!serves(place)) return ErrorCode::ModuleAbsent;
    GateResult<SchedulerStatistics> out;
    if (!ask<&Scheduler::statistics>(place, &out.value, cpu.view[place])) return ErrorCode::ModuleFailed;
    return out.value;
}

Result<void> PolicySlot::self_check_mirror(Text name) {
    const uint32_t place = mirrored();
    if (!has_mirror() || !serves(place)) return ErrorCode::ModuleAbsent;
    struct Lost {
        bool any = false;
        ThreadId thread = ThreadId::None;
        CpuId cpu = 0;
    } lost;
    threads_.for_each_locked([&](Thread& thread) {
        if ((thread.queued_in & bit_of(place)) == 0 || !serves(place)) return;
        bool held = false;
        Cpu& cpu = threads_.cpu(thread.cpu);
        cpu.lock.assert_held();
        if (!ask_seldom<&Scheduler::self_check>(place, &held, cpu.view[place], thread.view[place]) || held) return;
        if (!lost.any) lost = {true, thread.id, thread.cpu};
    });
    if (!serves(place)) return ErrorCode::ModuleFailed;
    if (lost.any)
        return Error(ErrorCode::InvalidState, format("{}: its self_check does not find thread {} on CPU {}", name,
                                                     static_cast<uint64_t>(lost.thread), lost.cpu)
                                                  .text());
    return {};
}

Result<void> Threads::set_attributes(ThreadId id, const Owner& owner, const SchedulingAttributes& attributes) {
    bool granted = false;
    const bool found = with_thread_of(owner, id, [&](Thread& thread, Cpu& home) {
        home.lock.assert_held();
        granted = policy_.set_attributes(home, thread, attributes);
        if (!granted || thread.kind != ThreadClass::Policy) return;
        // Perhaps another should run now, and perhaps what it reserves is on another CPU.
        home.give_way |= home.current->kind == ThreadClass::Policy && home.ready_count != 0;
        home.misplaced = &thread;
        ask_reschedule(home);
    });
    if (!found) return ErrorCode::NotFound;
    if (!granted) return Error(ErrorCode::Busy, "the scheduler does not grant the reservation");
    return {};
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Cpus: coming, going, and work on each.

#include "kernel/thread/cpus.hpp"

#include "helix/event.hpp"
#include "kernel/kernel.hpp"

namespace helix::kernel {

namespace {

constexpr uint64_t kPollNs = 100'000;
constexpr int kSpins = 20'000;

/// Waits for something that another CPU is about to do.
template <typename Condition>
void wait_for(Threads& threads, Condition condition) {
    for (int spins = 0; !condition(); ++spins) {
        if (spins < kSpins)
            arch::spin_hint();
        else
            (void)threads.sleep(kPollNs).ok();
    }
}

}  // namespace

Result<void> Cpus::init(size_t count) {
    TRY(areas_.init(kernel_.memory, count));
    for (CpuId id = 0; id < count; ++id) {
        Cpu& cpu = areas_.cpu(id);
        cpu.kernel = &kernel_;
        cpu.local.cpu = id;
        cpu.local.self = &cpu.local;
        cpu.local.reschedule = Threads::reschedule;
        cpu.local.kernel = &kernel_;
        cpu.idle = &cpu.idle_thread;
        cpu.idle_thread.name.assign(format("idle {}", id).text());
        cpu.idle_thread.kind = ThreadClass::Idle;
        cpu.idle_thread.cpu = id;
    }
    return {};
}

Result<Cpu*> Cpus::find(CpuId id) {
    if (id >= count()) return Error(ErrorCode::InvalidArgument, format("there are CPUs 0 to {}", count() - 1).text());
    return &cpu(id);
}

Result<void> Cpus::bring_online(CpuId id) {
    Cpu& cpu = *TRY(find(id));
    {
        MutexGuard guard(change_);
        if (is_online(id)) return Error(ErrorCode::InvalidState, format("CPU {} is online already", id).text());
        TRY(arch::start_cpu(id));
        wait_for(kernel_.threads, [&] { return is_online(id); });
        __atomic_store_n(&cpu.stopped, false, __ATOMIC_RELEASE);
    }
    (void)kernel_.modules.emit(Event::make_cpu_hotplug(id, true)).ok();  // a full queue loses it
    return {};
}

Result<void> Cpus::take_offline(CpuId id) {
    Cpu& cpu = *TRY(find(id));
    if (id == 0) return Error(ErrorCode::InvalidArgument, "the boot CPU stays online");
    {
        MutexGuard guard(change_);
        if (!is_online(id)) return Error(ErrorCode::InvalidState, format("CPU {} is offline already", id).text());
        __atomic_fetch_and(&online_, ~(uint64_t{1} << id), __ATOMIC_SEQ_CST);
        {
            const PreemptionGuard no_preemption;
            cpu.lock.acquire();
            cpu.leaving = true;
            kernel_.threads.policy().cpu_changed(cpu, false);
            cpu.lock.release();
        }
        arch::interrupt_cpu(id, arch::CpuInterrupt::Call);
        wait_for(kernel_.threads, [&] { return __atomic_load_n(&cpu.stopped, __ATOMIC_ACQUIRE); });
    }
    kernel_.modules.note_cpu_offline(id);
    (void)kernel_.modules.emit(Event::make_cpu_hotplug(id, false)).ok();
    return {};
}

uint32_t Cpus::hand_out(CpuWork& work) {
    // Before it is looked at who is there. Whoever comes too late to be seen sees what the caller wrote before.
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    const uint64_t others = __atomic_load_n(&working_, __ATOMIC_ACQUIRE) & ~(uint64_t{1} << current_cpu());
    const auto count = static_cast<uint32_t>(__builtin_popcountll(others));
    uint32_t refused = 0;
    work.begin(count);
    for (uint64_t left = others; left != 0; left &= left - 1) {
        const auto id = static_cast<CpuId>(__builtin_ctzll(left));
        const CpuWorkQueue::Put put = cpu(id).work.put(work, id);
        if (__builtin_expect(put == CpuWorkQueue::Put::First, 1))
            arch::interrupt_cpu(id, arch::CpuInterrupt::Call);
        else
            refused += put == CpuWorkQueue::Put::Refused;
    }
    if (__builtin_expect(refused != 0, 0)) work.finish(refused);
    return count - refused;
}

void Cpus::run_on_each(void (*action)(void*), void* argument) {
    context::require_may_sleep("Cpus::run_on_each");
    CpuWork work(action, argument);
    {
        const PreemptionGuard no_preemption;
        action(argument);
        hand_out(work);
    }
    wait_for(kernel_.threads, [&] { return work.is_done(); });
}

uint64_t Cpus::rendezvous(void (*action)(void*), void* argument) {
    struct Meeting {
        uint64_t first_cycles = 0;  // when the first CPU began to wait; atomic
        uint32_t arrived = 0;       // atomic
        bool over = false;          // atomic
    } meeting;
    // Two meetings at a time would wait for each other's CPUs; and nobody comes or goes.
    MutexGuard guard(change_);
    CpuWork work(
        [](void* meeting_pointer) {
            auto& met = *static_cast<Meeting*>(meeting_pointer);
            uint64_t nobody = 0;
            __atomic_compare_exchange_n(&met.first_cycles, &nobody, arch::cycles(), false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED);
            __atomic_fetch_add(&met.arrived, 1, __ATOMIC_SEQ_CST);
            while (!__atomic_load_n(&met.over, __ATOMIC_ACQUIRE)) arch::spin_hint();
        },
        &meeting);
    preempt_disable();
    uint64_t nobody = 0;
    const uint32_t others = hand_out(work);
    while (__atomic_load_n(&meeting.arrived, __ATOMIC_ACQUIRE) != others) arch::spin_hint();
    __atomic_compare_exchange_n(&meeting.first_cycles, &nobody, arch::cycles(), false, __ATOMIC_RELAXED,
                                __ATOMIC_RELAXED);
    action(argument);
    __atomic_store_n(&meeting.over, true, __ATOMIC_RELEASE);
    while (!work.is_done()) arch::spin_hint();
    const uint64_t held_cycles = arch::cycles() - meeting.first_cycles;
    preempt_enable();
    return held_cycles;
}

void Cpus::wait_grace_period() {
    run_on_each([](void*) {}, nullptr);
}

void Cpus::adopt(CpuId id) {
    Cpu& cpu = areas_.cpu(id);
    cpu.local.preempt_word = kNoRescheduleWanted | 1;
    cpu.local.gate = nullptr;
    cpu.local.thread = cpu.current = cpu.idle;
    cpu.idle->state = ThreadState::Running;
    cpu.switched_at_cycles = arch::cycles();
    cpu.programmed_ns = cpu.tick_at_ns = cpu.watch_at_ns = cpu.share_at_ns = arch::kNever;
    cpu.watch_wanted = 0;
    arch::set_cpu_local(&cpu.local);
}

void Cpus::join(Cpu& cpu) {
    cpu.work.open();
    __atomic_fetch_or(&working_, uint64_t{1} << cpu.local.cpu, __ATOMIC_SEQ_CST);
    cpu.lock.acquire();
    cpu.leaving = false;
    Trace::note(TraceKind::Cpu, 1, cpu.local.cpu);
    kernel_.threads.policy().cpu_changed(cpu, true);
    // Last: whoever sees it online finds that the policy knows it.
    __atomic_fetch_or(&online_, uint64_t{1} << cpu.local.cpu, __ATOMIC_SEQ_CST);
    cpu.lock.release();
}

void Cpus::leave(Cpu& cpu) {
    clear_idle(cpu.local.cpu);
    Trace::note(TraceKind::Cpu, 0, cpu.local.cpu);
    kernel_.heap.leave_this_cpu();
    cpu.work.close(cpu.local.cpu);
    __atomic_fetch_and(&working_, ~(uint64_t{1} << cpu.local.cpu), __ATOMIC_SEQ_CST);
    __atomic_store_n(&cpu.stopped, true, __ATOMIC_RELEASE);
    arch::stop_cpu();
}

}  // namespace helix::kernel

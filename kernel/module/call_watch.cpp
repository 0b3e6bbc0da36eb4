// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Call watch: finds calls that go on for longer than the profile allows, and ends them at whoever is to blame.
//
// It is about all calls into a module: requests, events, and calls by a handle, whichever thread makes them. A call
// pays nothing for that. Each time that a module's calls are looked at, the open gates of threads that do not run are
// counted as seen, in the gates themselves. Whoever opens a gate clears that count with the store that clears its
// ticks: so a gate that has a count is the one that was seen before, and not the next one at the same place of the
// stack.
//
// A thread of its own does it, of the kernel class, which runs no code of a module: nobody keeps it waiting, as a
// module might keep the supervisor or the thread that asks for health, whose calls are watched like all others. CPU
// time is the budgets' affair (timers.cpp); here it is about waiting.

#include "kernel/kernel.hpp"
#include "kernel/module/module_system.hpp"
#include "kernel/thread/gates.hpp"

namespace helix::kernel {

namespace {

/// Whether `gate`, open on `thread`, is a call into a module whose calls are looked at now. Calls of the lifecycle have
/// deadlines of their own. The registry and the thread are locked, so that the instance stays.
bool is_watched(const Thread& thread, const Gate& gate) {
    if (gate.kind() != GateKind::Module) return false;
    const Instance& instance = instance_of(gate.instance);
    const bool timed = thread.kernel_call == &instance && thread.kernel_call_deadline_ns != kForever;
    return instance.record.watch.is_due && instance.record.current == &instance && !timed;
}

/// Counts that `gate` is seen; true if that is so often that its call has had its time.
bool see(Gate& gate) {
    constexpr uint32_t kOnce = Gate::kTicksMask + 1;
    constexpr uint32_t kOften = 3 * kOnce;  // twice the period has gone by
    if (gate.ticks < kOften) gate.ticks += kOnce;
    return gate.ticks >= kOften;
}

/// The module in which `thread` waits has failed. False if it is in none. The thread is locked and Blocked; whatever it
/// is inside is there until it leaves.
bool fail_keeper(const Thread& thread) {
    const Gate* const innermost = module_or_thread_gate(thread.gate);
    if (innermost == nullptr) return false;
    FailureNote note;
    note.failure = GateFailure::Abort;
    note.rule = "it kept a call waiting for longer than the profile's call_limit";
    note.instruction = service_call_in(*innermost, thread.gate);
    name_thread(note, thread);
    module_failed(*owner_of(innermost->instance), note);
    return true;
}

/// What came of a look.
struct Found {
    Thread* ended = nullptr;        ///< who waits in a module that has failed for that
    const void* awaited = nullptr;  ///< what else is waited for; see Thread::awaits
};

/// `thread`, locked and Blocked, keeps a call waiting. If it waits for something of its own, its innermost module is to
/// blame; if for another module's turn, whoever has that; if for a transaction or a restart, nobody yet.
void judge(Thread& thread, Found& found) {
    found.awaited = thread.awaits.load(std::memory_order_acquire);
    if (found.awaited == nullptr && fail_keeper(thread)) found.ended = &thread;
}

/// Judges the thread that holds `lock`, if it waits. Without one: counts the gates that are open, and judges one thread
/// that waits in a call that has had its time. One at a look: others that wait for the same go with it.
Found look_at_threads(Threads& threads, const Mutex* lock) {
    Found found;
    bool any = false;
    threads.for_each_locked([&](Thread& thread) {
        const bool waits = thread.state == ThreadState::Blocked;
        if (!waits && thread.state != ThreadState::Runnable) return;
        if (lock != nullptr && !lock->is_held_by(thread)) return;
        bool overdue = lock != nullptr;
        for (Gate* gate = thread.gate; gate != nullptr && lock == nullptr; gate = gate->previous())
            if (is_watched(thread, *gate)) overdue |= see(*gate);
        if (!overdue || any || !waits) return;
        any = true;
        // Whoever made these calls may go on with them, for as long again.
        for (Gate* gate = thread.gate; gate != nullptr; gate = gate->previous())
            if (is_watched(thread, *gate)) gate->ticks &= Gate::kTicksMask;
        judge(thread, found);
    });
    return found;
}

}  // namespace

/// Only where the profile limits some module's calls is there anything to watch.
Result<void> ModuleSystem::start_call_watch() {
    for (const ProfileEntry& entry : kernel_.profile) {
        if (!entry.key.ends_with(".call_limit")) continue;
        TRY(kernel_.threads.create("call watch", call_watch_main, this, {.kind = ThreadClass::Kernel}));
        break;
    }
    return {};
}

void ModuleSystem::call_watch_main(void* argument) {
    auto& system = *static_cast<ModuleSystem*>(argument);
    for (uint64_t planned = 0;;) system.wait_for_look(system.watch_calls(), planned);
}

/// Looks at the calls of those modules for which it is time. When it is for the next.
uint64_t ModuleSystem::watch_calls() {
    MutexGuard guard(registry_);
    const uint64_t now_ns = arch::now_ns();
    uint64_t next_ns = kForever;
    bool any_due = false;
    for (ModuleRecord& record : records_) {
        CallWatch& watch = record.watch;
        const uint64_t period_ns = record.supervision.watch_period_ns();
        const bool runs = period_ns != 0 && record.state() == ModuleState::Running;
        watch.is_due = runs && now_ns >= watch.next_ns;
        any_due |= watch.is_due;
        if (watch.is_due) watch.next_ns = now_ns + period_ns;
        if (runs && watch.next_ns < next_ns) next_ns = watch.next_ns;
    }
    if (!any_due) return next_ns;
    Found found;
    const Mutex* lock = nullptr;
    constexpr size_t kMaximumDepth = 16;  // a circle of requests ends by itself
    for (size_t depth = 0; depth == 0 || (lock != nullptr && depth < kMaximumDepth); ++depth) {
        found = look_at_threads(kernel_.threads, lock);
        lock = nullptr;
        for (const ModuleRecord& record : records_)
            if (&record.call_lock == found.awaited) lock = &record.call_lock;
    }
    // The supervisor ends the waits in a failed instance, but it may be the one that waits there.
    if (found.ended != nullptr && found.ended->cancellable)
        (void)kernel_.threads.wake(*found.ended, WakeReason::Cancelled);
    return next_ns;
}

}  // namespace helix::kernel

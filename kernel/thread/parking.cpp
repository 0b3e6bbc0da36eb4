// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Parking: the threads of a module stay where they wait while its state is taken.
//
// A thread of a module's own rests while it is in a wait that its module's code asked for: it says so before and after,
// by plain stores. Who parks them writes `parks` and waits for a grace period: a thread that did not see that has said
// whether it rests before the period was over.

#include "kernel/kernel.hpp"
#include "kernel/thread/threads.hpp"

namespace helix::kernel {

namespace {
/// Whoever waits here looks again at every change: a thread began to rest, or may go on.
WakeReason wait_for_change(Awaited<uint64_t>& changes, uint64_t seen, uint64_t deadline_ns, Cancellable cancellable) {
    return changes.wait_until([seen](uint64_t& count) { return count != seen; }, deadline_ns, cancellable);
}
uint64_t count_changes(Awaited<uint64_t>& changes) {
    return changes.with([](uint64_t& count) { return count; });
}
}  // namespace

Result<void> Threads::park(Owner& owner, uint64_t deadline_ns) {
    if (count_threads_of(owner) == 0) return {};  // nobody is inside who could begin one
    owner.parks.store(Parked::Again, std::memory_order_release);
    cpus_.wait_grace_period();
    for (;;) {
        const uint64_t seen = count_changes(rests_);
        if (find_awake(owner) == nullptr) return {};
        if (wait_for_change(rests_, seen, deadline_ns, Cancellable::No) == WakeReason::TimedOut)
            return ErrorCode::TimedOut;
    }
}

Thread* Threads::find_awake(const Owner& owner) {
    const size_t limit = used();
    for (size_t position = 0; position < limit; ++position) {
        Thread& thread = table_[position];
        if (!thread.rests.load(std::memory_order_acquire) && thread.owner == &owner) return &thread;
    }
    return nullptr;
}

Parked Threads::unpark(Owner& owner) {
    if (!parks(owner)) return Parked::No;
    const Parked before = owner.parks.exchange(Parked::No);
    note_rest();
    return before;
}

void Threads::park_once(Owner& owner) {
    if (parks(owner)) owner.parks.store(Parked::Once, std::memory_order_release);
}

void Threads::note_rest() {
    rests_.wake_all([](uint64_t& rests) { ++rests; });
}

void Threads::stay_parked(Thread& self) {
    Owner& owner = *self.owner;
    const uint64_t deadline_ns = deadline_after(kLongestParkNs);
    while (parks(owner)) {
        begin_rest(self);
        WakeReason reason = WakeReason::Signalled;
        while (reason == WakeReason::Signalled) {  // to others that rest this one says nothing
            const uint64_t seen = count_changes(rests_);
            if (!parks(owner)) break;
            reason = wait_for_change(rests_, seen, deadline_ns, Cancellable::Yes);
        }
        if (reason == WakeReason::TimedOut) (void)unpark(owner);
        self.rests.store(false, std::memory_order_release);
        std::atomic_signal_fence(std::memory_order_seq_cst);
        if (reason == WakeReason::Cancelled) return;  // its module is ended
    }
}

}  // namespace helix::kernel

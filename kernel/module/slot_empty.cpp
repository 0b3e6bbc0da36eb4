// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Slot: waiting until those inside have left, and leaving. Nobody is in a hurry here but they.

#include "kernel/kernel.hpp"
#include "kernel/module/slot.hpp"
#include "kernel/thread/lending.hpp"

namespace helix::kernel {

Result<void> Slot::wait_empty(uint64_t timeout_ns) {
    if (!has_callers()) return {};
    // Whoever is in what fills the slot now is inside by this slot or another.
    const SlotTarget* const inside = __atomic_load_n(&target, __ATOMIC_ACQUIRE);
    Lending lending(kernel.threads, inside == nullptr ? nullptr : owner_of(inside->instance));
    const uint64_t deadline_ns = deadline_after(timeout_ns);
    constexpr uint64_t kLongestNs = 16 * Threads::kTickNs;
    for (uint64_t wait_ns = Threads::kTickNs;; wait_ns = wait_ns < kLongestNs ? 2 * wait_ns : kLongestNs) {
        lending.look();  // again and again: whoever runs now may wait for its turn then
        const uint64_t next_ns = deadline_after(wait_ns);
        const uint64_t until_ns = next_ns < deadline_ns ? next_ns : deadline_ns;
        if (queue.wait_until([&] { return !has_callers(); }, until_ns, Cancellable::No) != WakeReason::TimedOut)
            return {};
        if (until_ns == deadline_ns) return ErrorCode::TimedOut;
    }
}

void Slot::left() {
    queue.wake_all([] {});
    Thread& self = current_thread();
    if (self.lent) kernel.threads.inheritance().take_back(self);
}

}  // namespace helix::kernel

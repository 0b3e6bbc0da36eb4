// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What is done to modules while something fails, and what a kernel looks like before and after.
#pragma once

#include "kernel/kernel.hpp"

namespace helix::test {

/// Everything in use that a failed operation might leave behind.
struct Held {
    uint64_t heap_bytes = 0;
    uint64_t pages = 0;      ///< frames, without those that the heap keeps for blocks
    uint64_t addresses = 0;  ///< pages of address space
    uint64_t threads = 0;
    uint64_t semaphores = 0;  ///< and timers
    uint64_t counters = 0;    ///< of slots
    uint64_t slots = 0;
    uint64_t handles = 0;
    uint64_t interfaces = 0;  ///< records, also those that nobody sees
    uint64_t owners = 0;      ///< allocators that the heap knows

    bool operator==(const Held&) const = default;
};
/// Once everything has come to rest: probations are over, events delivered, failures looked after. Replay only, where
/// waiting costs no time.
Held look_for_held(kernel::Kernel& kernel);
FixedText<400> describe(const Held& held);

/// Which modules there are, in which state, and who serves. Two looks at the same thing are equal texts; looking for
/// the same instances, also the slots that nobody sees are counted.
enum class Instances : uint8_t { Same, Any };
using Look = FixedText<1500>;  // too large for a kernel's stack
void look_at_modules(kernel::Kernel& kernel, Instances instances, Look& out);

struct Operation {
    const char* name;
    const char* subject;  ///< what a complaint speaks of
    Result<void> (*prepare)(kernel::Kernel& kernel);
    Result<void> (*run)(kernel::Kernel& kernel);
    /// Before clean_up, with nothing failing: what stays loaded is made anew, for it may lie in more pieces than
    /// before.
    Result<void> (*renew)(kernel::Kernel& kernel) = nullptr;
};
/// Load, reload (to a version with more interfaces, and with fewer), swaps of all kinds, unload, with dependents too;
/// events.
Span<const Operation> all_operations();
/// The modules of the profile and the two greeters, as after prepare_kernel.
Result<void> clean_up(kernel::Kernel& kernel);
Result<void> prepare_kernel(kernel::Kernel& kernel);
/// What must be in the initrd.
inline constexpr const char* kLoadable[] = {
    "greeter-english", "greeter-caller", "holder-1", "holder-2",        "helix-scheduler-priority",
    "link-a",          "link-b",         "link-c",   "pair-provider-1", "pair-provider-2",
    "pair-user-1",     "pair-user-2",    "phoenix",  "phoenix-next",    "laggard"};

}  // namespace helix::test

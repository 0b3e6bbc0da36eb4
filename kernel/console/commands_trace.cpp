// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The command `trace`.
#include "kernel/console/trace_text.hpp"
#include "kernel/kernel.hpp"

namespace helix::kernel {

Result<void> run_trace(Invocation& invocation) {
    constexpr uint64_t kUsual = 40;
    uint64_t count = kUsual;
    if (!invocation.arguments.empty())
        count = TRY(
            number_argument(invocation.argument(0), "a count of entries", TraceRing::kLargest * arch::kMaximumCpus));
    if (!Trace::is_on())
        return Error(ErrorCode::InvalidState,
                     "nothing is traced; [debug] trace_entries of the profile says how much, or the boot word trace=N");
    Listing listing(invocation, kTraceColumns);
    invocation.kernel.trace.pause();
    list_trace(invocation.kernel, count, listing);
    invocation.kernel.trace.resume();
    listing.finish();
    return {};
}

}  // namespace helix::kernel

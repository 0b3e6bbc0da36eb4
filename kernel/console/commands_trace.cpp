// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The command `trace`.
#include "kernel/console/commands.hpp"
#include "kernel/console/trace_text.hpp"
#include "kernel/kernel.hpp"

namespace helix::kernel {

Result<void> run_trace(Invocation& invocation) {
    constexpr uint64_t kUsual = 40;
    uint64_t count = kUsual;
    if (!invocation.arguments.empty())
        count = TRY(number_argument(invocation, 0, "a count of entries", TraceRing::kLargest * arch::kMaximumCpus));
    if (!Trace::is_on())
        return Error(ErrorCode::InvalidState,
                     "nothing is traced; [debug] trace_entries of the profile says how much, or the boot word trace=N");
    invocation.kernel.trace.pause();
    if (invocation.json) {
        write_trace(invocation.kernel, count, invocation.out);
        invocation.out.write("\n");
    } else {
        print_trace(invocation.kernel, count, invocation.out);
    }
    invocation.kernel.trace.resume();
    return {};
}

}  // namespace helix::kernel

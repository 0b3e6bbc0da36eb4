// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// timer.lateness: how long after its time a thread runs that slept 100 microseconds on a kernel with nothing else to
// do; beside a pthread in clock_nanosleep, in turns of some hundred.
#include "hosted_kernel.hpp"
#include "metric.hpp"

#include <sys/prctl.h>
#include <time.h>

namespace {

using namespace helix;

constexpr uint64_t kSleepNs = 100'000;
constexpr size_t kSleeps = 4'000;
constexpr size_t kInTurn = 200;

uint64_t lateness[kSleeps];
uint64_t peer_lateness[kSleeps];

uint64_t host_now_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

/// On the kernel's own CPU, which has nothing else to do meanwhile.
void time_peer(size_t begin) {
    const PreemptionGuard no_preemption;
    for (size_t i = begin; i < begin + kInTurn; ++i) {
        const uint64_t due_ns = host_now_ns() + kSleepNs;
        const timespec until{static_cast<time_t>(due_ns / 1'000'000'000), static_cast<long>(due_ns % 1'000'000'000)};
        // A tick of the kernel's may come in between.
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) != 0) {
        }
        peer_lateness[i] = host_now_ns() - due_ns;
    }
}

Result<void> measure(kernel::Kernel& kernel) {
    prctl(PR_SET_TIMERSLACK, 1);  // for the peer's sake: by default the host adds 50 microseconds
    for (size_t begin = 0; begin < kSleeps; begin += kInTurn) {
        for (size_t i = begin; i < begin + kInTurn; ++i) {
            const uint64_t due_ns = arch::now_ns() + kSleepNs;
            TRY(kernel.threads.sleep(kSleepNs));
            const uint64_t woke_ns = arch::now_ns();
            if (woke_ns < due_ns) return Error(ErrorCode::InvalidState, "a thread woke too early");
            lateness[i] = woke_ns - due_ns;
        }
        time_peer(begin);
    }
    return {};
}

}  // namespace

int main(int argument_count, char** arguments) {
    if (benchmark::only_lists(argument_count, arguments, {"timer.lateness"})) return 0;
    if (!benchmark::run_in_kernel({}, measure)) return 1;
    benchmark::print_metric("timer.lateness", "ns", {lateness, lateness + kSleeps},
                            {{"clock_nanosleep", {peer_lateness, peer_lateness + kSleeps}}});
    return 0;
}

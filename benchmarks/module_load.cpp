// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// module.load_start: loading, initialising and starting a small module, beside dlopen and dlclose of the same file.
#include "hosted_kernel.hpp"
#include "metric.hpp"

#include <dlfcn.h>
#include <time.h>

#include <atomic>
#include <thread>

namespace {

using namespace helix;

constexpr size_t kRounds = 20;
constexpr size_t kRunsInRound = 50;
constexpr size_t kRuns = kRounds * kRunsInRound;
constexpr char kModule[] = "template";

/// The kernel and the peer take turns: each has its rounds while the other waits.
std::atomic<size_t> kernel_rounds{0};
std::atomic<size_t> peer_rounds{0};
std::atomic<bool> over{false};
uint64_t kernel_ns[kRuns];
uint64_t peer_ns[kRuns];

Result<void> measure_rounds(kernel::Kernel& kernel) {
    for (size_t round = 0; round < kRounds; ++round) {
        while (peer_rounds.load() <= round && !over.load()) TRY(kernel.threads.sleep(1'000'000));
        for (size_t i = 0; i < kRunsInRound; ++i) {
            const uint64_t begin = arch::now_ns();
            TRY(kernel.modules.load(kModule));
            kernel_ns[round * kRunsInRound + i] = arch::now_ns() - begin;
            TRY(kernel.modules.unload(kModule));
        }
        ++kernel_rounds;
    }
    return {};
}

Result<void> measure(kernel::Kernel& kernel) {
    const auto result = measure_rounds(kernel);
    over = true;
    return result;
}

uint64_t host_now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

void measure_peer(const char* file) {
    for (size_t round = 0; round < kRounds; ++round) {
        while (kernel_rounds.load() < round && !over.load()) {
            const timespec pause{0, 1'000'000};
            nanosleep(&pause, nullptr);
        }
        for (size_t i = 0; i < kRunsInRound && !over.load(); ++i) {
            const uint64_t begin = host_now_ns();
            void* const library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
            if (library == nullptr || dlclose(library) != 0) {
                fprintf(stderr, "%s\n", dlerror());
                over = true;
                return;
            }
            peer_ns[round * kRunsInRound + i] = host_now_ns() - begin;
        }
        ++peer_rounds;
    }
}

}  // namespace

int main(int argument_count, char** arguments) {
    if (benchmark::only_lists(argument_count, arguments, {"module.load_start"})) return 0;
    const std::string file = benchmark::stripped_module(kModule).string();
    std::thread peer([&] { measure_peer(file.c_str()); });
    const bool succeeded = benchmark::run_in_kernel({kModule}, measure);
    over = true;
    peer.join();
    if (!succeeded || peer_rounds.load() != kRounds) return 1;
    benchmark::print_metric("module.load_start", "ns", {kernel_ns, kernel_ns + kRuns},
                            {{"dlopen", {peer_ns, peer_ns + kRuns}}});
    return 0;
}

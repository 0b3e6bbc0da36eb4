// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The peers `dlopen`, `boost-dll` and `poco`: a file is loaded and let go, by dlopen and dlclose, by Boost.DLL and by
// POCO's ClassLoader, on a pthread beside a kernel in the same process, in turns with it.
#pragma once

#define BOOST_DLL_USE_STD_FS

#include "hosted_kernel.hpp"
#include "metric.hpp"
#include "poco_peer.hpp"

#include <dlfcn.h>
#include <stdio.h>
#include <time.h>
#include <boost/dll/shared_library.hpp>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace helix::benchmark {

inline uint64_t host_now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

class DlopenPeer {
public:
    static constexpr size_t kRounds = 20;
    static constexpr size_t kRunsInRound = 50;
    static constexpr size_t kRuns = kRounds * kRunsInRound;

    /// The file is there until the process ends.
    void start(std::string file) {
        file_ = std::move(file);
        thread_ = std::thread([this] { run(); });
    }
    /// What the kernel measures, each kRunsInRound times, while the peer waits: `measure(i)` for each i below kRuns.
    /// On a thread of the kernel.
    template <typename Measure>
    Result<void> take_turns(kernel::Kernel& kernel, Measure measure) {
        for (size_t round = 0; round < kRounds; ++round) {
            while (rounds_.load() <= round && !over_.load()) TRY(kernel.threads.sleep(1'000'000));
            for (size_t i = 0; i < kRunsInRound; ++i) TRY(measure(round * kRunsInRound + i));
            ++kernel_rounds_;
        }
        return {};
    }
    /// The kernel has ended. False if the peer did not get through.
    bool finish() {
        over_ = true;
        thread_.join();
        return rounds_.load() == kRounds;
    }
    /// What it measured; of each that is there.
    Peers<uint64_t> peers() const {
        Peers<uint64_t> all{{"dlopen", {ns_, ns_ + kRuns}}, {"boost-dll", {boost_ns_, boost_ns_ + kRuns}}};
        if (has_poco()) all.push_back({"poco", {poco_ns_, poco_ns_ + kRuns}});
        return all;
    }

private:
    void run() {
        for (size_t round = 0; round < kRounds; ++round) {
            while (kernel_rounds_.load() < round && !over_.load()) {
                const timespec pause{0, 1'000'000};
                nanosleep(&pause, nullptr);
            }
            for (size_t i = 0; i < kRunsInRound && !over_.load(); ++i) {
                const uint64_t begin = host_now_ns();
                void* const library = dlopen(file_.c_str(), RTLD_NOW | RTLD_LOCAL);
                if (library == nullptr || dlclose(library) != 0) {
                    fprintf(stderr, "%s\n", dlerror());
                    over_ = true;
                    return;
                }
                ns_[round * kRunsInRound + i] = host_now_ns() - begin;
            }
            for (size_t i = 0; i < kRunsInRound && !over_.load(); ++i) {
                std::error_code error;
                const uint64_t begin = host_now_ns();
                boost::dll::shared_library library;
                library.load(file_, error, boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
                library.unload();
                if (error) {
                    fprintf(stderr, "%s\n", error.message().c_str());
                    over_ = true;
                    return;
                }
                boost_ns_[round * kRunsInRound + i] = host_now_ns() - begin;
            }
            for (size_t i = 0; i < kRunsInRound && has_poco() && !over_.load(); ++i) {
                poco_ns_[round * kRunsInRound + i] = time_poco_load();
                if (poco_ns_[round * kRunsInRound + i] == 0) over_ = true;
            }
            if (!over_.load()) ++rounds_;
        }
    }

    std::string file_;
    std::thread thread_;
    std::atomic<size_t> kernel_rounds_{0};
    std::atomic<size_t> rounds_{0};
    std::atomic<bool> over_{false};
    uint64_t ns_[kRuns] = {};
    uint64_t boost_ns_[kRuns] = {};
    uint64_t poco_ns_[kRuns] = {};
};

}  // namespace helix::benchmark

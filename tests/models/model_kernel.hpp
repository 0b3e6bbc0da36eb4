// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Tests of what needs running threads: the whole hosted kernel, one in a child process for each run, under replay with
// many seeds and numbers of virtual CPUs, and on real pthreads.
//
// A body runs on the kernel's main thread; it and the threads it makes call no libc and allocate nothing. Environment:
// HELIX_TEST_SEED repeats one seed, HELIX_TEST_STEPS (2,000) says how many steps a run takes, HELIX_TEST_SEEDS (2) how
// many seeds each number of CPUs gets.
#pragma once

#include "kernel/kernel.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace helix::test {

/// Random numbers inside the kernel (splitmix64, Steele, Lea and Flood 2014).
class KernelRandom {
public:
    explicit KernelRandom(uint64_t seed) : state_(seed) {}
    uint64_t next() {
        uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    uint64_t below(uint64_t limit) { return next() % limit; }
    bool one_in(uint64_t chances) { return below(chances) == 0; }

private:
    uint64_t state_;
};

/// What a body gets to know.
struct ModelRun {
    kernel::Kernel& kernel;
    uint64_t seed;
    uint64_t steps;
    bool replay;
    uint32_t cpus;
};
using ModelBody = void (*)(const ModelRun& run);

enum class Machines { Replay, RealTime };
/// What a body finds in the initrd, for a seed; called in the child process, before the kernel starts.
using ModelFiles = std::vector<std::pair<std::string, std::string>> (*)(uint64_t seed);

/// What the kernel does with modules that fail.
enum class Restarts {
    Never,
    AsByDefault,
    FromCheckpoints,  ///< taken when it is loaded and long after
    Foreseeable       ///< nobody is asked for its health, a call ends after ten seconds; the numbers below
};
/// Of the restarts that are foreseeable. The first comes at once, and none is ever forgotten.
inline constexpr uint32_t kForeseeableLimit = 3;
inline constexpr uint64_t kForeseeableDelayNs = 100'000'000'000;

/// Runs `body` in kernels with 1, 2 and 4 CPUs; adds a test failure with the command that repeats it for each that
/// does not end well. `scheduler` rules.
void run_model(ModelBody body, Machines machines, const std::string& scheduler = "helix-scheduler-round-robin",
               ModelFiles files = nullptr, Restarts restarts = Restarts::Never);
/// The same for one kernel; what it printed is returned, and the exit status through `status`.
std::string run_one(ModelBody body, uint32_t cpus, std::optional<uint64_t> seed, const std::string& scheduler,
                    int& status, ModelFiles files = nullptr, Restarts restarts = Restarts::Never);

/// A step of this run was taken: what has been done is added up, not what was asked for. Any thread of the kernel.
void took_step();
/// Ends the run as failed. Any thread of the kernel.
[[noreturn]] void model_failed(const char* what, const char* file, int line);

#define MODEL_CHECK(condition) ((condition) ? (void)0 : ::helix::test::model_failed(#condition, __FILE__, __LINE__))

}  // namespace helix::test

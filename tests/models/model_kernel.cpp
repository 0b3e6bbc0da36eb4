// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Kernels for models: children, their seeds, and what is said when one fails.
#include "model_kernel.hpp"

#include "benchmarks/hosted_kernel.hpp"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

namespace helix::test {

namespace {

constexpr uint64_t kSteps = 2000, kSeeds = 2;  // unless the environment says otherwise

uint64_t environment(const char* name, uint64_t otherwise) {
    const char* const text = getenv(name);
    return text == nullptr ? otherwise : strtoull(text, nullptr, 10);
}

/// What was run, for whoever adds it up: a filter that fits nothing runs nothing, and passes.
class Sum : public ::testing::Environment {
public:
    void add(uint64_t steps) {
        ++runs_;
        steps_ += steps;
    }
    void TearDown() override {
        printf("models: %lu runs of %lu steps in all\n", static_cast<unsigned long>(runs_),
               static_cast<unsigned long>(steps_));
    }

private:
    uint64_t runs_ = 0;
    uint64_t steps_ = 0;
};
Sum& sum = *static_cast<Sum*>(::testing::AddGlobalTestEnvironment(new Sum));

/// Of the run that is under way: written by the child, read here.
uint64_t& steps_taken = [] -> uint64_t& {
    void* const page = mmap(nullptr, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) throw std::runtime_error("no shared memory");
    return *static_cast<uint64_t*>(page);
}();

ModelBody current_body;
uint32_t current_cpus;
std::optional<uint64_t> current_seed;
uint64_t current_steps;

Result<void> run_body(kernel::Kernel& kernel) {
    // The end of the input: under replay a CPU with nothing to do waits for whoever reads it, not for the clock.
    while (arch::console_read() >= 0) {
    }
    const ModelRun run{kernel, current_seed.value_or(1), current_steps, current_seed.has_value(), current_cpus};
    current_body(run);
    return {};
}

}  // namespace

/// What `child` writes to `end` until it has ended. One that hangs is ended, so that its seed is named.
static std::string read_all(int end, pid_t child) {
    constexpr auto kPatience = std::chrono::seconds(100);  // less than that of who runs the tests
    const auto give_up = std::chrono::steady_clock::now() + kPatience;
    std::string output;
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(give_up - std::chrono::steady_clock::now());
        pollfd readable{end, POLLIN, 0};
        if (left.count() <= 0 || poll(&readable, 1, static_cast<int>(left.count())) == 0) {
            kill(child, SIGKILL);
            return output + "it did not end within " + std::to_string(kPatience.count()) + " s\n";
        }
        char buffer[4096];
        const ssize_t size = read(end, buffer, sizeof(buffer));
        if (size <= 0) return output;
        output.append(buffer, static_cast<size_t>(size));
    }
}

std::string run_one(ModelBody body, uint32_t cpus, std::optional<uint64_t> seed, const std::string& scheduler,
                    int& status, ModelFiles files, Restarts restarts) {
    __atomic_store_n(&steps_taken, 0, __ATOMIC_RELAXED);
    int ends[2];
    if (pipe(ends) != 0) throw std::runtime_error("no pipe");
    const pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        current_body = body;
        current_cpus = cpus;
        current_seed = seed;
        current_steps = environment("HELIX_TEST_STEPS", kSteps);
        benchmark::KernelOptions options{.cpus = cpus, .seed = seed, .scheduler = scheduler, .strip = false};
        if (restarts == Restarts::Never) options.profile = "kernel.restart=never\nkernel.health_period=0s\n";
        if (restarts == Restarts::Foreseeable)
            options.profile =
                "kernel.health_period=0s\nkernel.restart_limit=3\nkernel.restart_period=360000s\n"
                "kernel.restart_delay=100s\nkernel.restart_delay_max=100s\nkernel.call_limit=10s\n";
        if (restarts == Restarts::FromCheckpoints)
            options.profile = "kernel.health_period=0s\nkernel.checkpoint=10s\nkernel.restart_delay=1ms\n";
        if (files != nullptr) options.files = files(seed.value_or(1));
        _exit(benchmark::run_in_kernel({}, run_body, options) ? 0 : 1);
    }
    close(ends[1]);
    std::string output = read_all(ends[0], child);
    close(ends[0]);
    waitpid(child, &status, 0);
    return output;
}

void run_model(ModelBody body, Machines machines, const std::string& scheduler, ModelFiles files, Restarts restarts) {
    const bool replay = machines == Machines::Replay;
    const uint64_t first = environment("HELIX_TEST_SEED", 1);
    const uint64_t seeds =
        !replay || getenv("HELIX_TEST_SEED") != nullptr ? 1 : environment("HELIX_TEST_SEEDS", kSeeds);
    for (const uint32_t cpus : {1u, 2u, 4u}) {
        for (uint64_t seed = first; seed < first + seeds; ++seed) {
            int status = 0;
            const std::string output =
                run_one(body, cpus, replay ? std::optional(seed) : std::nullopt, scheduler, status, files, restarts);
            if (status == 0) {
                sum.add(__atomic_load_n(&steps_taken, __ATOMIC_RELAXED));
                continue;
            }
            const auto* const info = ::testing::UnitTest::GetInstance()->current_test_info();
            ADD_FAILURE() << output << "\nwith " << cpus << " CPUs, seed " << seed
                          << "; repeat with HELIX_TEST_SEED=" << seed
                          << " HELIX_TEST_STEPS=" << environment("HELIX_TEST_STEPS", kSteps) << " "
                          << program_invocation_name << " --gtest_filter=" << info->test_suite_name() << "."
                          << info->name();
            return;
        }
    }
}

void took_step() {
    __atomic_fetch_add(&steps_taken, 1, __ATOMIC_RELAXED);
}

[[noreturn]] void model_failed(const char* what, const char* file, int line) {
    preempt_disable();
    arch::console_write(
        format<400>("{}:{}: not so: {}\n", Text::from_c_string(file), line, Text::from_c_string(what)).text());
    arch::halt_other_cpus();
    arch::power_off(1);
}

}  // namespace helix::test

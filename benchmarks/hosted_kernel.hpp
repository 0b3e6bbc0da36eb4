// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The whole hosted kernel in a benchmark's process, with the benchmark in the place of the shell.
#pragma once

#include "kernel/kernel.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace helix::benchmark {

/// How a kernel is started; the rest is as in the minimal profile.
struct KernelOptions {
    uint32_t cpus = 1;  ///< 1 to 64
    uint64_t memory_mb = 256;
    std::optional<uint64_t> seed;  ///< replay with this seed, instead of real time
    std::string scheduler = "helix-scheduler-round-robin";
    bool strip = true;  ///< modules without debug information and symbols, as archives carry them
    std::vector<std::pair<std::string, std::string>> files = {};  ///< more for the initrd: name and content
    std::string profile = {};                                     ///< more lines of the compiled profile
};

/// Boots the modules of the minimal profile; files of `loadable` (names without the ending) wait in the initrd. When
/// all run, `measure` is called on the kernel's main thread: preemption on, no libc, what it prints it leaves in
/// memory. Its sentence, if any, is printed as the error, and the result is false. Once in a process. The kernel has
/// `cpus` CPUs, 1 to 64.
bool run_in_kernel(const std::vector<std::string>& loadable, Result<void> (*measure)(kernel::Kernel& kernel),
                   uint32_t cpus = 1);
bool run_in_kernel(const std::vector<std::string>& loadable, Result<void> (*measure)(kernel::Kernel& kernel),
                   const KernelOptions& options);

/// The content of the file of module `name` in this build. Ends the process if there is none.
std::string module_content(const std::string& name);
/// The file of module `name` in this build, without debug information and symbols, as archives carry it. The
/// path is valid until the process ends.
std::filesystem::path stripped_module(const std::string& name);

}  // namespace helix::benchmark

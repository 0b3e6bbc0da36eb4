// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Debian's Linux kernel for virtual machines, as a peer to boot: fetched, unpacked, never installed.
#pragma once

#include "commands.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace helix::benchmark {

struct DebianKernel {
    std::filesystem::path image;
    std::string release;  ///< such as 6.1.0-18-cloud-amd64
};

/// The newest kernel of that kind which the package lists of this machine know, kept under `folder`. Throws
/// tool::Failure with a sentence that says why there is none: no apt, no such package, no network.
DebianKernel fetch_debian_kernel(const std::filesystem::path& folder);

/// `guest` with that kernel, and an initrd whose only program is helix-guest-peer, instead of its own; nothing else of
/// the emulator's command line changes. Prints the kernel's release as a note about `metrics`; where there is no such
/// kernel, a note that says why, and the result is empty. A `workload` is the file /workload.json there.
std::optional<tool::MachineSpec> linux_guest(const tool::Session& session, tool::MachineSpec guest,
                                             std::string_view metrics, std::string_view workload = {});

}  // namespace helix::benchmark

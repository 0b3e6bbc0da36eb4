// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Debian's Linux kernel for virtual machines, as a peer to boot: fetched, unpacked, never installed.
#pragma once

#include <filesystem>
#include <string>

namespace helix::benchmark {

struct DebianKernel {
    std::filesystem::path image;
    std::string release;  ///< such as 6.1.0-18-cloud-amd64
};

/// The newest kernel of that kind which the package lists of this machine know, kept under `folder`. Throws
/// tool::Failure with a sentence that says why there is none: no apt, no such package, no network.
DebianKernel fetch_debian_kernel(const std::filesystem::path& folder);

}  // namespace helix::benchmark

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Where things are: the source tree and the build that this tool belongs to.
#pragma once

#include <filesystem>
#include <string>

namespace helix::tool {

struct Workspace {
    std::filesystem::path root;   ///< the source tree
    std::filesystem::path build;  ///< build/release or another preset's

    std::filesystem::path profiles() const { return root / "profiles"; }
    std::filesystem::path modules() const { return build / "modules"; }
    std::filesystem::path programs() const { return build / "bin"; }
    std::filesystem::path images() const { return build / "images"; }
    /// `path` as a person in the current folder would write it.
    static std::string shown(const std::filesystem::path& path);
};

/// The tree this tool was built from and the build folder it lies in.
Workspace find_workspace();

}  // namespace helix::tool

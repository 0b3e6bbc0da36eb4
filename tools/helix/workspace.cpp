// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Where things are.

#include "workspace.hpp"

namespace helix::tool {

namespace fs = std::filesystem;

Workspace find_workspace() {
    std::error_code error;
    const fs::path program = fs::read_symlink("/proc/self/exe", error);
    return {HELIX_SOURCE_DIRECTORY, error ? fs::path(HELIX_BINARY_DIRECTORY) : program.parent_path().parent_path()};
}

std::string Workspace::shown(const fs::path& path) {
    std::error_code error;
    const fs::path relative = fs::relative(path, fs::current_path(error), error);
    if (error || relative.empty() || *relative.begin() == "..") return path.string();
    return relative.string();
}

}  // namespace helix::tool

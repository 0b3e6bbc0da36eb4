// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Whole files in and out, with failures that name the file.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace helix::tool {

/// Throws Failure(Environment).
std::string read_file(const std::filesystem::path& path);
/// Writes beside `path` and renames, so that a reader sees the old content or the new. Links are followed, and what is
/// no file (a device, a pipe) is written into. Throws Failure(Environment).
void write_file(const std::filesystem::path& path, std::string_view content);
/// Whether write_file could write `path`, found out before the work for it is done; what is there stays as it is.
/// Throws as that would.
void require_writable(const std::filesystem::path& path);

/// A new folder of its own, removed with all in it at the end.
class TemporaryDirectory {
public:
    TemporaryDirectory();
    ~TemporaryDirectory();
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

}  // namespace helix::tool

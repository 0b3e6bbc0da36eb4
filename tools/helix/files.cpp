// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Whole files in and out.

#include "files.hpp"

#include "failure.hpp"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

namespace helix::tool {

namespace fs = std::filesystem;

/// More is no file of a user's, but a device without an end.
static constexpr size_t kLargestFile = size_t{1} << 30;

std::string read_file(const fs::path& path) {
    std::error_code error;
    if (fs::is_directory(path, error))
        throw Failure(ExitStatus::Environment, "{} is a folder, not a file", path.string());
    std::ifstream stream(path, std::ios::binary);
    if (!stream) throw Failure(ExitStatus::Environment, "{}: {}", path.string(), strerror(errno));
    try {
        std::string content;
        std::vector<char> part(size_t{1} << 20);
        while (stream.read(part.data(), static_cast<std::streamsize>(part.size())), stream.gcount() > 0) {
            content.append(part.data(), static_cast<size_t>(stream.gcount()));
            if (content.size() > kLargestFile)
                throw Failure(ExitStatus::Environment, "{}: more than {} MiB", path.string(), kLargestFile >> 20);
        }
        return content;
    } catch (const std::ios_base::failure&) {
        throw Failure(ExitStatus::Environment, "{}: cannot be read", path.string());
    }
}

namespace {

/// 0, or why that failed.
int write_into(const fs::path& path, std::string_view content) {
    std::ofstream stream(path, std::ios::binary);
    stream.write(content.data(), static_cast<std::streamsize>(content.size()));
    stream.close();
    if (stream) return 0;
    return errno != 0 ? errno : EIO;
}

/// Whether there is something that is neither a file nor a folder, and so can be neither replaced nor written beside.
bool is_written_into(const fs::path& path) {
    std::error_code error;
    return fs::is_other(path, error);
}

/// Where the content goes to that is written to `path`.
fs::path follow_links(const fs::path& path) {
    std::error_code error;
    const fs::path target = fs::is_symlink(path, error) ? fs::canonical(path, error) : path;
    return error ? path : target;
}

/// Writes `content` beside `path`, and says where.
fs::path write_beside(const fs::path& path, std::string_view content) {
    static std::atomic<uint64_t> serial{0};
    std::error_code error;
    if (path.has_parent_path()) fs::create_directories(path.parent_path(), error);
    const fs::path temporary = fmt::format("{}.{}.{}", path.string(), getpid(), serial++);
    const int reason = write_into(temporary, content);
    if (reason == 0) return temporary;
    fs::remove(temporary, error);
    throw Failure(ExitStatus::Environment, "{}: {}", path.string(), strerror(reason));
}

}  // namespace

void write_file(const fs::path& path, std::string_view content) {
    if (is_written_into(path)) {
        const int reason = write_into(path, content);
        if (reason == 0) return;
        throw Failure(ExitStatus::Environment, "{}: {}", path.string(), strerror(reason));
    }
    const fs::path target = follow_links(path);
    const fs::path temporary = write_beside(target, content);
    std::error_code error;
    fs::rename(temporary, target, error);
    if (error) {
        const std::string reason = error.message();
        fs::remove(temporary, error);
        throw Failure(ExitStatus::Environment, "{}: {}", path.string(), reason);
    }
}

void require_writable(const fs::path& path) {
    if (is_written_into(path)) {
        if (access(path.c_str(), W_OK) == 0) return;
        throw Failure(ExitStatus::Environment, "{}: {}", path.string(), strerror(errno));
    }
    fs::remove(write_beside(follow_links(path), {}));
    if (fs::is_directory(path)) throw Failure(ExitStatus::Environment, "{}: {}", path.string(), strerror(EISDIR));
}

TemporaryDirectory::TemporaryDirectory() {
    std::string pattern = (fs::temp_directory_path() / "helix.XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr)
        throw Failure(ExitStatus::Environment, "cannot make a temporary folder: {}", strerror(errno));
    path_ = pattern;
}
TemporaryDirectory::~TemporaryDirectory() {
    std::error_code error;
    fs::remove_all(path_, error);
}

}  // namespace helix::tool
